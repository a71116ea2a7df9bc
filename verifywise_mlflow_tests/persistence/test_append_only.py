"""Nobody changes, deletes or truncates evidence by SQL, not even the schema's owner; a removed trigger is reported."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.append_only import (
    DELETABLE,
    GUARDS,
    HISTORIES,
    RETAINED,
    TRAILS,
)
from verifywise_mlflow.persistence.schema_protection import protection_problems
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import metadata
from verifywise_mlflow.services.installation.database import check_database
from verifywise_mlflow_tests.persistence.tenant_isolation_fixture import (
    OTHER_TENANT,
    OWN_TENANT,
    IsolatedTenants,
    logged_in,
    query,
)
from verifywise_mlflow_tests.support.login_roles import execute

CHANGEABLE = {
    # The state of MLflow at the last reading, and the progress of the stages.
    *("registered_models", "model_versions", "prompts", "training_runs", "logged_models", "record_inputs"),
    *("tenants", "stage_refreshes", "stage_watermarks", "poll_watermarks", "history_usage", "tenant_locks"),
    # Caches of what is stored elsewhere.
    *("compliance_counts", "compliance_count_buckets", "state_models"),
    # Queues of deliveries, and what was delivered to each target.
    *("delivery_outbox", "delivery_events", "delivery_ledger", "delivery_targets"),
    # Reports of webhooks. They are only hints: nothing is concluded from them.
    *("change_hints", "webhook_deliveries", "webhook_status"),
    # Each change is an entry in the trail.
    "role_grants",
}
"""The tables without a guard."""

REFUSED = [
    *(f"{statement} {{}}.{table}" for table in (*TRAILS, *HISTORIES) for statement in ("DELETE FROM", "TRUNCATE")),
    *(f"UPDATE {{}}.{table} SET tenant_id = tenant_id" for table in (*TRAILS, *HISTORIES)),
    *(f"{statement} {{}}.{table}" for table in RETAINED for statement in ("DELETE FROM", "TRUNCATE")),
    *(f"TRUNCATE {{}}.{table}" for table in DELETABLE),
    "UPDATE {}.waivers SET approver = 'mallory'",
    "UPDATE {}.waivers SET tenant_id = 'hooli'",
    "TRUNCATE {0}.audit_trail, {0}.compliance_badges CASCADE",
    "MERGE INTO {0}.lifecycle_events AS e USING (SELECT 1) AS x ON true WHEN MATCHED THEN DELETE",
]


@contextmanager
def guarded_by_triggers() -> Iterator[None]:
    with pytest.raises(psycopg2.errors.IntegrityConstraintViolation, match=r"append-only|refused|can only be ended"):
        yield


def test_every_table_is_guarded_or_may_change() -> None:
    guarded = {guard.table for guard in GUARDS}

    assert guarded == {*TRAILS, *HISTORIES, *RETAINED, *DELETABLE}
    assert not guarded & CHANGEABLE
    assert guarded | CHANGEABLE == {table.name for table in metadata.tables.values()}


@pytest.mark.parametrize("mode", ["origin", "replica"])
def test_the_owner_is_refused(isolated: IsolatedTenants, mode: str) -> None:
    """``replica`` switches ordinary triggers off."""
    with closing(psycopg2.connect(isolated.owner)) as owner:
        for statement in REFUSED:
            with owner.cursor() as cursor:
                cursor.execute(f"SET LOCAL session_replication_role = {mode}")
                with guarded_by_triggers():
                    cursor.execute(statement.format("verifywise_mlflow"))
            owner.rollback()


def test_the_owner_is_refused_changes_through_a_parent_of_the_table(isolated: IsolatedTenants) -> None:
    """Postgres fires the triggers for each statement only on the table that the statement names."""
    refused = [
        *((table, statement) for table in (*TRAILS, *HISTORIES) for statement in ("DELETE", "UPDATE", "TRUNCATE")),
        *((table, statement) for table in RETAINED for statement in ("DELETE", "TRUNCATE")),
        *((table, "TRUNCATE") for table in DELETABLE),
    ]
    statements = {
        "DELETE": "DELETE FROM verifywise_mlflow.parent WHERE tenant_id = 'acme'",
        "UPDATE": "UPDATE verifywise_mlflow.parent SET tenant_id = 'hooli' WHERE tenant_id = 'acme'",
        "TRUNCATE": "TRUNCATE verifywise_mlflow.parent CASCADE",
    }
    for table, statement in refused:
        with logged_in(isolated.owner) as owner:
            query(owner, "CREATE TABLE verifywise_mlflow.parent (tenant_id text NOT NULL)")
            query(owner, f"ALTER TABLE verifywise_mlflow.{table} INHERIT verifywise_mlflow.parent")
            with guarded_by_triggers():
                query(owner, statements[statement])


ERASED = "INSERT INTO verifywise_mlflow.audit_trail VALUES ('{}', {}, '{{\"kind\": \"tenant erased\"}}', 'h')"
DELETION = "DELETE FROM verifywise_mlflow.lifecycle_events WHERE tenant_id = 'acme'"


def test_rows_are_deleted_only_by_a_transaction_that_says_so_in_the_trail_of_their_tenant(
    isolated: IsolatedTenants,
) -> None:
    of_another, of_none, own = ERASED.format(OTHER_TENANT, 98), ERASED.format("nobody", 98), ERASED.format("acme", 98)
    for before in ([], [of_another], [of_none], ["SAVEPOINT s", own, "ROLLBACK TO s"]):
        with logged_in(isolated.owner) as owner:
            for statement in before:
                query(owner, statement)
            with guarded_by_triggers():
                query(owner, DELETION)
    with logged_in(isolated.owner) as owner:
        query(owner, own)
        query(owner, DELETION)  # until here, this could be the beginning of an erasure
        with guarded_by_triggers():
            query(owner, "DELETE FROM verifywise_mlflow.lifecycle_events")
        owner.rollback()


def test_an_entry_of_an_earlier_transaction_allows_no_deletion(isolated: IsolatedTenants) -> None:
    execute(isolated.owner, ERASED.format("initech", 1))  # a tenant without any row
    with logged_in(isolated.owner) as owner:
        query(
            owner,
            "INSERT INTO verifywise_mlflow.lifecycle_events "
            "(tenant_id, model_name, incarnation, kind, seen_at, sync_id) "
            "VALUES ('initech', 'm', 1, 'first seen', now(), '')",
        )
        with guarded_by_triggers():
            query(owner, "DELETE FROM verifywise_mlflow.lifecycle_events WHERE tenant_id = 'initech'")


def test_an_entry_in_a_child_of_the_trail_allows_no_deletion(isolated: IsolatedTenants) -> None:
    with logged_in(isolated.owner) as owner:
        query(owner, "CREATE TABLE verifywise_mlflow.child () INHERITS (verifywise_mlflow.audit_trail)")
        query(owner, ERASED.format("acme", 98).replace("audit_trail", "child"))
        with guarded_by_triggers():
            query(owner, DELETION)


def test_an_entry_of_an_erasure_that_leaves_rows_is_refused_at_the_end(isolated: IsolatedTenants) -> None:
    with logged_in(isolated.owner) as owner:
        query(owner, ERASED.format("acme", 98))
        query(owner, DELETION)
        with guarded_by_triggers():
            owner.commit()

    with logged_in(isolated.owner) as owner:
        assert query(owner, DELETION.replace("DELETE", "SELECT count(*)")) != [(0,)]
    with logged_in(isolated.pipeline.url, OWN_TENANT) as pipeline:
        query(pipeline, ERASED.format("acme", 98))
        with guarded_by_triggers():
            pipeline.commit()


@pytest.mark.parametrize("tenant", ["", "initech"])
def test_a_pipeline_cannot_hide_the_rows_that_an_erasure_leaves(isolated: IsolatedTenants, tenant: str) -> None:
    with logged_in(isolated.pipeline.url, OWN_TENANT) as pipeline:
        query(pipeline, ERASED.format("acme", 98))
        query(pipeline, f"SELECT set_config('verifywise_mlflow.tenant', '{tenant}', true)")  # no row is visible

        with guarded_by_triggers():
            pipeline.commit()


@pytest.mark.parametrize("role", ["owner", "pipeline", "reader"])
def test_every_role_finds_that_a_new_schema_has_no_problem(isolated: IsolatedTenants, role: str) -> None:
    url = isolated.owner if role == "owner" else getattr(isolated, role).url
    with Store(url) as store, store.begin_shared() as connection:
        connection.exec_driver_sql("SET LOCAL search_path = verifywise_mlflow")  # changes how Postgres writes names
        assert protection_problems(connection) == []


@pytest.mark.parametrize("key", ["tenant_id = 'hooli'", "model_name = 'moved'", "version_number = 1000"])
def test_a_badge_that_is_moved_to_another_version_is_in_the_history_under_its_former_key(
    isolated: IsolatedTenants, key: str
) -> None:
    rows = "SELECT model_name, version_number, badge FROM verifywise_mlflow.{} WHERE tenant_id = 'acme'"
    with logged_in(isolated.owner) as owner:
        badges = query(owner, rows.format("compliance_badges") + " AND version_number = 1")
        history = query(owner, rows.format("compliance_badge_history"))

        query(
            owner,
            f"UPDATE verifywise_mlflow.compliance_badges SET {key} WHERE tenant_id = 'acme' AND version_number = 1",
        )

        assert len(badges) == 1
        assert Counter(query(owner, rows.format("compliance_badge_history"))) == Counter([*history, *badges])


REMOVED_GUARDS = {
    "ALTER TABLE {}.audit_trail DISABLE TRIGGER append_only": "the trigger append_only of audit_trail is disabled",
    "ALTER TABLE {}.waivers DISABLE TRIGGER ALL": "the trigger refuse_waiver_change of waivers is disabled",
    "ALTER TABLE {}.state_log ENABLE TRIGGER append_only": "can be switched off by session_replication_role",
    "ALTER TABLE {}.state_log ENABLE REPLICA TRIGGER append_only": "can be switched off by session_replication_role",
    "DROP TRIGGER refuse_deletion ON {}.lifecycle_events": "the trigger refuse_deletion of lifecycle_events is missing",
    "ALTER TABLE {}.canonical_records DISABLE TRIGGER save_former_record": "save_former_record of canonical_records is",
    "DROP TABLE {}.state_commitments CASCADE": "the trigger append_only of state_commitments is missing",
    "ALTER TRIGGER append_only ON {}.config_versions RENAME TO other": "append_only of config_versions is missing",
    "CREATE OR REPLACE TRIGGER append_only BEFORE TRUNCATE ON {0}.audit_checkpoints "
    "EXECUTE FUNCTION {0}.refuse_change()": "the trigger append_only of audit_checkpoints is not as this release",
    "CREATE OR REPLACE TRIGGER refuse_waiver_change BEFORE UPDATE ON {0}.waivers FOR EACH ROW WHEN (false) "
    "EXECUTE FUNCTION {0}.refuse_waiver_change()": "the trigger refuse_waiver_change of waivers is not as this release",
    "CREATE OR REPLACE FUNCTION {}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RETURN NULL; END $$": "the function refuse_change() is not as this release created it",
    "ALTER FUNCTION {}.refuse_deletion() SET search_path = public, pg_catalog":
        "the function refuse_deletion() is not as this release created it",
    "ALTER FUNCTION {}.refuse_partial_erasure() RESET row_security":
        "the function refuse_partial_erasure() is not as this release created it",
    "ALTER FUNCTION {}.refuse_partial_erasure() SECURITY INVOKER":
        "the function refuse_partial_erasure() is not as this release created it",
    "ALTER FUNCTION {}.refuse_partial_erasure() OWNER TO pg_monitor":
        "the function refuse_partial_erasure() is not as this release created it",
    "ALTER FUNCTION {}.cells(text) STRICT": "the function cells(text) is not as this release created it",
    "CREATE FUNCTION {}.refuse_change(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'":
        "the function refuse_change(integer) is not ours",
    "CREATE FUNCTION public.drop_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
    "CREATE TRIGGER quiet BEFORE INSERT ON {}.integrity_events FOR EACH ROW EXECUTE FUNCTION public.drop_row()":
        'the trigger "quiet" of integrity_events is not ours',
    "CREATE RULE quiet AS ON INSERT TO {}.lifecycle_events DO INSTEAD NOTHING": 'the rule "quiet" of lifecycle_events',
    "CREATE TABLE {0}.parent (tenant_id text NOT NULL); ALTER TABLE {0}.audit_trail INHERIT {0}.parent":
        "verifywise_mlflow.audit_trail inherits from verifywise_mlflow.parent",
    "ALTER TABLE {}.audit_trail DISABLE ROW LEVEL SECURITY": "row-level security of audit_trail is off",
    "DROP POLICY tenant_isolation ON {}.state_log": "the policy tenant_isolation of state_log is missing",
    "ALTER POLICY tenant_isolation ON {}.state_log USING (true)": "tenant_isolation of state_log is not as this",
    "ALTER POLICY tenant_isolation ON {}.state_log WITH CHECK (true)":
        "tenant_isolation of state_log is not as this release",
    "ALTER POLICY tenant_isolation ON {}.state_log TO pg_monitor":
        "tenant_isolation of state_log is not as this release",
    "ALTER POLICY visible_to_pipelines ON {}.tenants USING (true)": "visible_to_pipelines of tenants is not as",
    "CREATE POLICY other ON {}.canonical_records USING (true)": 'the policy "other" of canonical_records is not ours',
    "CREATE TABLE public.child () INHERITS ({}.audit_trail)":
        "public.child inherits from verifywise_mlflow.audit_trail",
}  # fmt: skip


@pytest.mark.parametrize("statement", REMOVED_GUARDS)
def test_a_guard_that_was_removed_or_weakened_is_named(isolated: IsolatedTenants, statement: str) -> None:
    with Store(isolated.owner) as store, store.engine.connect() as connection:  # nothing is committed
        connection.exec_driver_sql(statement.format("verifywise_mlflow"))

        problems = protection_problems(connection)

    assert any(REMOVED_GUARDS[statement] in problem for problem in problems), problems


def test_an_overload_with_the_body_of_a_function_does_not_hide_its_replacement(isolated: IsolatedTenants) -> None:
    with Store(isolated.owner) as store, store.engine.connect() as connection:  # nothing is committed
        definition = connection.exec_driver_sql(
            "SELECT pg_get_functiondef('verifywise_mlflow.refuse_change()'::regprocedure)"
        ).scalar_one()
        overload = definition.replace("refuse_change()", "refuse_change(text)").replace(
            "RETURNS trigger", "RETURNS void"
        )
        connection.execute(text(overload))
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION verifywise_mlflow.refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RETURN NULL; END $$"
        )

        problems = protection_problems(connection)

    assert {problem.split(" is not")[0] for problem in problems} == {
        "the function refuse_change()",
        "the function refuse_change(text)",
    }


def test_each_problem_states_how_to_repair_the_guard(database_url: str) -> None:
    execute(
        database_url,
        "DROP TRIGGER append_only ON verifywise_mlflow.state_log",
        "DROP TRIGGER refuse_partial_erasure ON verifywise_mlflow.audit_trail",
        "ALTER TABLE verifywise_mlflow.waivers DISABLE TRIGGER USER",
        "ALTER TABLE verifywise_mlflow.version_verdicts DISABLE TRIGGER USER",
        "ALTER TABLE verifywise_mlflow.agents DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own_and_shared_grants ON verifywise_mlflow.role_grants",
        "DROP POLICY visible_to_pipelines ON verifywise_mlflow.change_hints",
        "DROP POLICY tenant_isolation ON verifywise_mlflow.change_hints",
    )

    def problems() -> list[str]:
        with Store(database_url) as store, store.begin_shared() as connection:
            return protection_problems(connection)

    assert len(problems()) == 2 + 3 + 3 + 4
    for problem in problems():
        execute(database_url, problem.split(" with ", 1)[1])
    assert problems() == []


def test_db_check_and_doctor_report_a_disabled_trigger(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    execute(database_url, "ALTER TABLE verifywise_mlflow.lifecycle_events DISABLE TRIGGER append_only")

    as_json = CliRunner().invoke(app, ["db", "check", "--json"])
    as_text = CliRunner().invoke(app, ["db", "check"])

    assert (as_json.exit_code, as_text.exit_code) == (1, 1)
    (problem,) = json.loads(as_json.stdout)["protection_problems"]
    assert problem in as_text.stdout
    assert "ENABLE ALWAYS TRIGGER append_only" in problem
    (finding,) = [finding for finding in check_database(database_url) if finding.subject == "append-only tables"]
    assert (finding.outcome, finding.detail) == ("problem", problem)
