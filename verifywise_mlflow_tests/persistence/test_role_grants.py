"""Which commands grant access, and what each kind of role may do."""

from __future__ import annotations

import json
import re

import psycopg2
import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence import database, role_grants
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.listener_privileges import excess_privilege, missing_privileges
from verifywise_mlflow.persistence.queries.overview import overview
from verifywise_mlflow.persistence.repositories import change_hints, tenancy
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import metadata
from verifywise_mlflow_tests.persistence.row_factories import HOSTILE, PgConnection, relations
from verifywise_mlflow_tests.persistence.tenant_isolation_fixture import (
    OTHER_TENANT,
    OWN_TENANT,
    IsolatedTenants,
    logged_in,
    query,
    visible_rows,
)
from verifywise_mlflow_tests.support.login_roles import execute, login_role, new_name
from verifywise_mlflow_tests.support.trail_entries import NOW

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


def privileges_of(owner: PgConnection, role: str) -> dict[str, set[str]]:
    """Return a role's privileges on each table and view, including column privileges, from the catalog."""
    return {
        relation: {
            privilege
            for privilege in PRIVILEGES
            if query(owner, f"SELECT has_table_privilege('{role}', 'verifywise_mlflow.{relation}', '{privilege}')")
            == [(True,)]
            or (
                privilege in ("SELECT", "INSERT", "UPDATE", "REFERENCES")
                and query(
                    owner, f"SELECT has_any_column_privilege('{role}', 'verifywise_mlflow.{relation}', '{privilege}')"
                )
                == [(True,)]
            )
        }
        for relation in [*relations(owner, "r", "v"), role_grants.REVISION_TABLE]
    }


def test_a_pipeline_may_delete_only_conclusions_and_what_was_delivered_and_update_no_append_only_table(
    isolated: IsolatedTenants,
) -> None:
    with logged_in(isolated.owner) as owner:
        granted = privileges_of(owner, isolated.pipeline.name)
        views = {name: {"SELECT"} for name in [*relations(owner, "v"), role_grants.REVISION_TABLE]}

    assert granted == {table: set(privileges) for table, privileges in role_grants.PIPELINE_PRIVILEGES.items()} | views
    deletable = {table for table, privileges in granted.items() if "DELETE" in privileges}
    assert deletable == {
        *("version_verdicts", "compliance_badges", "delivery_outbox", "delivery_events"),
        *("change_hints", "webhook_deliveries"),
    }
    assert not any("TRUNCATE" in privileges for privileges in granted.values())
    for as_json in (
        "audit_trail",
        "audit_checkpoints",
        "checkpoint_receipts",
        "lifecycle_events",
        "integrity_events",
        "config_versions",
    ):
        assert granted[as_json] == {"SELECT", "INSERT"}


def test_a_reader_may_only_read(isolated: IsolatedTenants) -> None:
    with logged_in(isolated.owner) as owner:
        privileges = privileges_of(owner, isolated.reader.name)

    assert privileges.pop("tenant_locks") == set()
    assert set(map(frozenset, privileges.values())) == {frozenset({"SELECT"})}


def test_a_listener_may_leave_hints_and_reads_no_record_and_no_list_of_tenants(isolated: IsolatedTenants) -> None:
    with logged_in(isolated.owner) as owner:
        granted = privileges_of(owner, isolated.listener.name)

    assert {table: set(privileges) for table, privileges in granted.items() if privileges} == {
        "change_hints": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "webhook_deliveries": {"SELECT", "INSERT", "DELETE"},
        "webhook_status": {"SELECT", "INSERT", "UPDATE"},
        "role_grants": {"SELECT"},
        role_grants.REVISION_TABLE: {"SELECT"},
    }
    with Store(isolated.listener.url) as store:
        for table in ("tenants", "canonical_records", "audit_trail"):
            with (
                pytest.raises(DatabaseError, match="may not do this: permission denied"),
                store.begin(OWN_TENANT) as session,
            ):
                session.connection.exec_driver_sql(f"SELECT * FROM verifywise_mlflow.{table}")


def test_a_listener_sees_and_writes_the_hints_of_one_tenant_at_a_time(isolated: IsolatedTenants) -> None:
    tables = ("change_hints", "webhook_deliveries", "webhook_status")
    with logged_in(isolated.listener.url, OWN_TENANT) as connection:
        assert {tenant for rows in visible_rows(connection, tables).values() for tenant in rows} == {OWN_TENANT}
    with logged_in(isolated.listener.url) as connection:
        assert set(map(str, visible_rows(connection, tables).values())) == {"{}"}
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
            query(connection, f"INSERT INTO verifywise_mlflow.webhook_status (tenant_id) VALUES ('{OTHER_TENANT}x')")
    with Store(isolated.listener.url) as store, store.begin(OWN_TENANT) as session:
        assert change_hints.is_new_delivery(session, "a delivery", [], NOW)
        change_hints.record(session, [HintedObject(ObjectKind.MODEL, "of the listener", 1)], NOW)
        change_hints.record_delivery(session, NOW, is_event=True)
        assert not change_hints.is_new_delivery(session, "a delivery", [], NOW)


def test_what_a_role_lacks_or_has_too_much_of_as_a_listener_is_named(isolated: IsolatedTenants) -> None:
    found = {}
    for name, url in (("listener", isolated.listener.url), ("reader", isolated.reader.url), ("owner", isolated.owner)):
        with Store(url) as store, store.begin_shared() as connection:
            found[name] = (missing_privileges(connection), excess_privilege(connection))

    assert found == {
        "listener": ([], None),
        "reader": (["change_hints", "webhook_deliveries", "webhook_status"], "may read the records of tenants"),
        "owner": ([], "is a superuser, so it may read and write all tenants"),
    }


def test_every_table_has_row_level_security_and_listed_privileges(isolated: IsolatedTenants) -> None:
    with logged_in(isolated.owner) as owner:
        unprotected = query(
            owner,
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'm') AND NOT relrowsecurity "
            "AND relnamespace = 'verifywise_mlflow'::regnamespace",
        )
        tables = relations(owner, "r")

    assert unprotected == [(role_grants.REVISION_TABLE,)]
    assert sorted(role_grants.PIPELINE_PRIVILEGES) == tables == sorted(table.name for table in metadata.tables.values())


def test_every_view_runs_with_the_rights_of_the_querying_role(isolated: IsolatedTenants) -> None:
    with logged_in(isolated.owner) as owner:
        views = query(
            owner,
            "SELECT relname, coalesce('security_invoker=true' = ANY(reloptions), false) FROM pg_class "
            "WHERE relnamespace = 'verifywise_mlflow'::regnamespace AND relkind IN ('v', 'm')",
        )

    assert len(views) >= 5
    assert [name for name, invoker in views if not invoker] == []


def test_functions_are_not_public_and_those_with_owner_rights_have_a_fixed_search_path(
    isolated: IsolatedTenants,
) -> None:
    with logged_in(isolated.owner) as owner:
        functions = query(
            owner,
            "SELECT proname, prosecdef, proconfig, EXISTS (SELECT FROM aclexplode(coalesce(proacl, "
            "acldefault('f', proowner))) WHERE grantee = 0) "
            "FROM pg_proc WHERE pronamespace = 'verifywise_mlflow'::regnamespace",
        )

    assert [name for name, _, _, is_public in functions if is_public] == []
    with_owners_rights = {name: settings for name, definer, settings, _ in functions if definer}
    assert len(with_owners_rights) >= 3
    assert all(str(settings).startswith("['search_path=pg_catalog") for settings in with_owners_rights.values())


@pytest.mark.parametrize(
    "name", ['"; DROP SCHEMA verifywise_mlflow CASCADE; --', "%s %(x)s :x '$$\\", "Ünï 模型", "public "]
)
def test_a_role_of_any_name_can_be_granted_and_revoked(isolated: IsolatedTenants, name: str) -> None:
    name += new_name("")
    with login_role(isolated.owner, name) as role:
        with Store(isolated.owner) as store:
            for _ in range(2):  # a second grant of the same access adds no entry
                with store.begin_shared() as connection:
                    role_grants.grant(connection, name, "reader", OTHER_TENANT, NOW)
            with logged_in(role.url) as connection:
                assert set(visible_rows(connection)["audit_trail"]) == {OTHER_TENANT}

            with store.begin_shared() as connection:
                role_grants.revoke(connection, name, NOW)

        with logged_in(role.url) as connection, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(connection, "SELECT * FROM verifywise_mlflow.audit_trail")
        with logged_in(isolated.owner) as owner, owner.cursor() as cursor:
            cursor.execute(
                "SELECT tenant_id, kind, counts ->> 'kind' FROM verifywise_mlflow.audit_entries "
                "WHERE object_name = %s ORDER BY sequence",
                [name],
            )
            assert cursor.fetchall() == [
                (OTHER_TENANT, "access granted", "reader"),
                (OTHER_TENANT, "access revoked", "reader"),
            ]


@pytest.mark.parametrize("kind", ["pipeline", "listener"])
def test_the_access_of_a_pipeline_or_listener_is_an_entry_in_the_trail_of_each_tenant(
    isolated: IsolatedTenants, kind: role_grants.RoleKind
) -> None:
    with login_role(isolated.owner, new_name(kind)) as role:
        with Store(isolated.owner) as store:
            for _ in range(2):  # the second time restores privileges only
                with store.begin_shared() as connection:
                    role_grants.grant(connection, role.name, kind, None, NOW)
            with store.begin_shared() as connection:
                role_grants.revoke(connection, role.name, NOW)

        with logged_in(isolated.owner) as owner:
            entries = query(
                owner,
                "SELECT tenant_id, kind FROM verifywise_mlflow.audit_entries "
                f"WHERE object_name = '{role.name}' ORDER BY tenant_id, sequence",
            )
    assert entries == [
        (tenant, event) for tenant in (OWN_TENANT, OTHER_TENANT) for event in ("access granted", "access revoked")
    ]


def test_granting_a_missing_role_names_the_remedy(isolated: IsolatedTenants) -> None:
    with (
        Store(isolated.owner) as store,
        pytest.raises(DatabaseError, match='CREATE ROLE "new""comer" LOGIN'),
        store.begin_shared() as connection,
    ):
        role_grants.grant(connection, 'new"comer', "pipeline", None, NOW)


@pytest.mark.parametrize(
    ("options", "reason"),
    [("SUPERUSER", "is a superuser"), ("BYPASSRLS", "has BYPASSRLS"), ("IN ROLE {owner}", "member")],
)
def test_a_role_that_bypasses_row_level_security_is_not_granted_access(
    isolated: IsolatedTenants, options: str, reason: str
) -> None:
    owner = psycopg2.extensions.parse_dsn(isolated.owner)["user"]
    with (
        login_role(isolated.owner, new_name("mighty"), options.format(owner=owner)) as role,
        Store(isolated.owner) as store,
        pytest.raises(DatabaseError, match=reason),
        store.begin_shared() as connection,
    ):
        role_grants.grant(connection, role.name, "reader", OWN_TENANT, NOW)


def test_a_readers_tenant_changes_only_after_a_revocation(isolated: IsolatedTenants) -> None:
    with Store(isolated.owner) as store:
        for kind, tenant in (("reader", OTHER_TENANT), ("pipeline", None)):
            with (
                pytest.raises(DatabaseError, match=r"already is a reader of acme: .*db revoke"),
                store.begin_shared() as connection,
            ):
                role_grants.grant(connection, isolated.reader.name, kind, tenant, NOW)  # type: ignore[arg-type]  # both kinds are


def test_a_role_without_access_cannot_be_revoked(isolated: IsolatedTenants) -> None:
    with login_role(isolated.owner, new_name("nobody")) as ungranted_role, Store(isolated.owner) as store:
        for name in (ungranted_role.name, "never there"):
            with pytest.raises(DatabaseError, match="has no access to revoke"), store.begin_shared() as connection:
                role_grants.revoke(connection, name, NOW)


def test_privileges_of_public_are_listed_with_statements_that_revoke_them(isolated: IsolatedTenants) -> None:
    with Store(isolated.owner) as store, store.begin_shared() as connection:
        connection.exec_driver_sql("GRANT SELECT ON verifywise_mlflow.canonical_records TO PUBLIC")
        (public,) = [access for access in role_grants.roles(connection) if access.role == "PUBLIC"]
        connection.exec_driver_sql(str(public.remark).rpartition(": run ")[2])

        assert "PUBLIC" not in {access.role for access in role_grants.roles(connection)}


def test_an_upgrade_restores_exactly_the_privileges_of_each_role(
    isolated: IsolatedTenants,
) -> None:
    name = isolated.pipeline.name
    with logged_in(isolated.owner) as owner:
        before = privileges_of(owner, name)
    execute(
        isolated.owner,
        f"REVOKE ALL ON verifywise_mlflow.config_versions, verifywise_mlflow.audit_entries FROM {name}",
        f"GRANT DELETE ON verifywise_mlflow.canonical_records TO {name}",
    )

    database.upgrade(isolated.owner)

    with logged_in(isolated.owner) as owner:
        assert privileges_of(owner, name) == before


def test_db_roles_lists_each_role_and_those_that_bypass_row_level_security(
    isolated: IsolatedTenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = psycopg2.extensions.parse_dsn(isolated.owner)["user"]
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", isolated.owner)
    with login_role(isolated.owner, new_name("mighty"), "BYPASSRLS") as bypassing_role:
        as_json = json.loads(CliRunner().invoke(app, ["db", "roles", "--json"]).stdout)
        output = CliRunner().invoke(app, ["db", "roles"]).output

    kinds = {role["role"]: (role["kind"], role["tenant_id"]) for role in as_json["roles"]}
    expected = {
        owner: ("owner", None),
        bypassing_role.name: ("unbound", None),
        isolated.pipeline.name: ("pipeline", None),
        isolated.reader.name: ("reader", OWN_TENANT),
        isolated.listener.name: ("listener", None),
        isolated.ungranted.name: ("none", None),
    }
    assert expected.items() <= kinds.items()
    assert (as_json["role_in_use"], as_json["held_by_row_security"], as_json["is_complete"]) == (owner, False, True)
    assert f"This URL's role {owner} is a superuser: row-level security does not apply to it" in " ".join(
        output.split()
    )
    remark = {role["role"]: role["remark"] for role in as_json["roles"]}["role 1 of acme " + HOSTILE]
    assert remark == "the role no longer exists: revoke it"


def test_db_commands_of_another_role_name_the_owner(isolated: IsolatedTenants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", isolated.pipeline.url)
    for command in (
        ["grant", "pipeline", isolated.reader.name],
        ["grant", "reader", isolated.reader.name, "--tenant", OTHER_TENANT],
        ["revoke", isolated.reader.name],
        ["upgrade"],
    ):
        result = CliRunner().invoke(app, ["db", *command])
        assert result.exit_code == 1
        output = " ".join(result.output.split())
        assert re.search(r"the owner's URL|belongs to the database role", output)


def test_db_roles_of_a_role_that_does_not_see_all_grants_accuses_nobody_and_says_what_is_missing(
    isolated: IsolatedTenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = {isolated.pipeline.name: "pipeline", isolated.listener.name: "listener"}
    for login, own in ((isolated.pipeline, {}), (isolated.reader, {isolated.reader.name: "reader"})):
        monkeypatch.setenv("VERIFYWISE_DATABASE_URL", login.url)
        as_json = json.loads(CliRunner().invoke(app, ["db", "roles", "--json"]).stdout)
        output = " ".join(CliRunner().invoke(app, ["db", "roles"]).output.split())

        kinds = {role["role"]: role["kind"] for role in as_json["roles"] if role["kind"] not in ("owner", "unbound")}
        assert kinds == shared | own
        assert (as_json["held_by_row_security"], as_json["is_complete"]) == (True, False)
        assert "revoke it" not in output
        assert f"This URL's role {login.name} does not see them: set VERIFYWISE_DATABASE_URL to the owner's" in output


def test_the_commands_grant_and_revoke_access(isolated: IsolatedTenants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", isolated.owner)
    with login_role(isolated.owner, new_name("auditor")) as role:
        outputs = [
            CliRunner().invoke(app, ["db", *command]).output.partition(f"\n{role.name} may write")[0].strip()
            for command in (
                ["grant", "pipeline", role.name],
                ["revoke", role.name],
                ["grant", "reader", role.name, "--tenant", "acmee"],
                ["revoke", role.name],
                ["grant", "listener", role.name],
            )
        ]

    assert outputs == [
        f"{role.name} may sync.",
        f"{role.name} no longer has access.",
        f"acmee was never synced here: check the spelling.\n{role.name} may read acmee.",
        f"{role.name} no longer has access.",
        f"{role.name} may receive webhooks.",
    ]


def test_a_reader_reads_its_tenant_through_the_store(isolated: IsolatedTenants) -> None:
    with Store(isolated.reader.url) as store:
        assert overview(store, OWN_TENANT, {}, NOW).versions == 0  # the grants that ``fill`` made are gone
        with store.begin(OWN_TENANT) as session:
            assert role_grants.is_known_tenant(session.connection, OWN_TENANT)
            assert not role_grants.is_known_tenant(session.connection, OTHER_TENANT)


def test_a_missing_privilege_is_a_sentence_without_row_values(isolated: IsolatedTenants) -> None:
    with (
        Store(isolated.reader.url) as store,
        pytest.raises(DatabaseError, match="may not do this: permission denied for table tenants") as caught,
        store.begin(OWN_TENANT) as session,
    ):
        tenancy.deactivate(session, NOW)
    assert not caught.value.retryable
