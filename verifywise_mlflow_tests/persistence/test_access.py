"""Roles that log in, and try to cross from the tenant that they have to one that they have not."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import psycopg2
import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.demo.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence import access, database, tenancy
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.overview import overview
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import metadata
from verifywise_mlflow_tests.persistence.any_rows import HOSTILE, ROWS, PgConnection, fill, insert, relations
from verifywise_mlflow_tests.persistence.login_roles import LoginRole, execute, login_role, new_database, new_name
from verifywise_mlflow_tests.persistence.test_store import NOW

OURS, THEIRS = "acme", "globex"
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


@dataclass(frozen=True, slots=True)
class House:
    """A database with rows of two tenants in every table, and who logs in to it."""

    owner: str
    pipeline: LoginRole
    reader: LoginRole
    """Of the tenant acme. It has a schema of its own, where it may create what it likes."""
    stranger: LoginRole
    """Has every privilege on the tables, but no access."""


@pytest.fixture(scope="module")
def house(postgres: EmbeddedPostgres) -> Iterator[House]:
    with ExitStack() as stack:
        owner = stack.enter_context(new_database(postgres))
        database.upgrade(owner)
        with closing(psycopg2.connect(owner)) as connection:
            for tenant in (OURS, THEIRS):
                fill(connection, tenant)
            connection.commit()
        pipeline, reader, stranger = (
            stack.enter_context(login_role(owner, new_name(kind))) for kind in ("pipeline", "reader", "stranger")
        )
        with Store(owner) as store, store.begin(None) as begun:
            access.grant(begun, pipeline.name, "pipeline", None, NOW)
            access.grant(begun, reader.name, "reader", OURS, NOW)
        execute(
            owner,
            f"CREATE SCHEMA den AUTHORIZATION {reader.name}",
            f"GRANT USAGE ON SCHEMA verifywise TO {stranger.name}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA verifywise TO {stranger.name}",
            f"GRANT ALL ON ALL FUNCTIONS IN SCHEMA verifywise TO {stranger.name}",
            "ANALYZE",
        )
        yield House(owner, pipeline, reader, stranger)


@contextmanager
def logged_in(url: str, tenant: str | None = None) -> Iterator[PgConnection]:
    """A transaction that is undone, set to a tenant as ``Store.begin`` sets it."""
    with closing(psycopg2.connect(url)) as connection:
        if tenant:
            ask(connection, f"SELECT set_config('verifywise.tenant', '{tenant}', true)")
        yield connection


def ask(connection: PgConnection, statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def tenants_seen(connection: PgConnection, shown: Iterable[str] | None = None) -> dict[str, dict[str, int]]:
    """Return how many rows of which tenants each table and view shows."""
    return {
        relation: dict(
            ask(connection, f"SELECT tenant_id, count(*) FROM verifywise.{relation} GROUP BY 1")  # type: ignore[arg-type]
        )
        for relation in shown or of_tenants(connection)
    }


def of_tenants(connection: PgConnection) -> list[str]:
    """Return the tables and views that show rows of tenants; ``access`` shows roles."""
    return [relation for relation in relations(connection, "r", "v") if relation != "access"]


def rows_of(connection: PgConnection, relation: str, tenant: str) -> int:
    ((count,),) = ask(connection, f"SELECT count(*) FROM verifywise.{relation} WHERE tenant_id = '{tenant}'")
    assert isinstance(count, int)
    return count


def test_a_reader_sees_all_of_its_tenant_and_nothing_of_another_in_every_table_and_view(house: House) -> None:
    with logged_in(house.owner) as owner:
        expected = {name: {OURS: seen[OURS]} for name, seen in tenants_seen(owner).items()}

    with logged_in(house.reader.url) as reader:
        seen = tenants_seen(reader)
        own = ask(reader, "SELECT role_name, tenant_id FROM verifywise.access")

    assert len(expected) > 20
    assert seen == expected
    assert own == [(house.reader.name, OURS)]


def test_a_pipeline_sees_the_tenant_that_it_is_set_to_and_who_else_there_is(house: House) -> None:
    with logged_in(house.owner) as owner:
        expected = {name: {OURS: seen[OURS]} for name, seen in tenants_seen(owner).items()}

    with logged_in(house.pipeline.url, OURS) as pipeline:
        assert tenants_seen(pipeline) == expected | {"tenants": {OURS: 1, THEIRS: 1}}


@pytest.mark.parametrize("tenant", [None, "", "nobody", "%", "acme' OR true --"])
def test_a_pipeline_that_is_set_to_no_tenant_sees_who_there_is_and_no_more(house: House, tenant: str | None) -> None:
    with closing(psycopg2.connect(house.pipeline.url)) as pipeline, pipeline.cursor() as cursor:
        if tenant is not None:
            cursor.execute("SELECT set_config('verifywise.tenant', %s, true)", [tenant])
        seen = tenants_seen(pipeline)

    assert {name for name, rows in seen.items() if rows} == {"tenants"}


def test_who_has_privileges_but_no_access_sees_no_row(house: House) -> None:
    with logged_in(house.stranger.url, OURS) as stranger:
        assert {name for name, rows in tenants_seen(stranger).items() if rows} == set()
        assert ask(stranger, "SELECT * FROM verifywise.access") == []
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
            insert(stranger, "registered_models", OURS)


def test_who_was_let_in_by_nobody_may_not_even_look(house: House) -> None:
    with login_role(house.owner, new_name("nobody")) as nobody, logged_in(nobody.url) as connection:
        for relation in ("audit_trail", "audit_entries", "alembic_version", "access"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                ask(connection, f"SELECT * FROM verifywise.{relation}")
            connection.rollback()


STILL_OURS = {
    "the setting of pipelines": ["SET verifywise.tenant = 'globex'"],
    "the setting, for this transaction": ["SELECT set_config('verifywise.tenant', 'globex', true)"],
    # Were the policy's function to look for = where its caller says, no role would be a reader.
    "an operator of its own": [
        "CREATE FUNCTION den.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR den.= (LEFTARG = text, RIGHTARG = text, FUNCTION = den.never)",
        "CREATE FUNCTION den.always(text, name) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "CREATE OPERATOR den.= (LEFTARG = text, RIGHTARG = name, FUNCTION = den.always)",
        "SET search_path = den, pg_catalog",
        "SET verifywise.tenant = 'globex'",
    ],
    "a table access of its own": [
        "CREATE TEMP TABLE access (role_name text, kind text, tenant_id text)",
        "INSERT INTO access VALUES (current_user, 'pipeline', NULL), (current_user, 'reader', 'globex')",
        "SET search_path = pg_temp, den",
        "SET verifywise.tenant = 'globex'",
    ],
    "a view of its own": [
        "CREATE VIEW den.all_entries AS SELECT * FROM verifywise.audit_trail",
        "SET verifywise.tenant = 'globex'",
    ],
}


@pytest.mark.parametrize("way", STILL_OURS)
def test_a_reader_is_moved_to_another_tenant_by_nothing_that_it_may_do(house: House, way: str) -> None:
    with logged_in(house.reader.url) as reader:
        known = of_tenants(reader)  # its own operators would mislead this question, too
        for statement in STILL_OURS[way]:
            ask(reader, statement)

        assert {name: set(seen) for name, seen in tenants_seen(reader, known).items()} == {
            name: {OURS} for name in known
        }
        assert ask(reader, "SELECT verifywise.current_tenant()") == [(OURS,)]


REFUSED_TO_READERS = [
    "SET row_security = off; SELECT * FROM verifywise.audit_trail",
    "SET ROLE {owner}",
    "SET ROLE {pipeline}",
    "SET SESSION AUTHORIZATION {pipeline}",
    "GRANT {pipeline} TO CURRENT_USER",
    "UPDATE verifywise.access SET tenant_id = 'globex'",
    "UPDATE verifywise.access SET kind = 'pipeline', tenant_id = NULL",
    "DELETE FROM verifywise.access",
    "INSERT INTO verifywise.canonical_records SELECT * FROM verifywise.canonical_records",
    "UPDATE verifywise.compliance_results SET verdict = 'pass'",
    "DELETE FROM verifywise.compliance_results",
    "SELECT * FROM verifywise.canonical_records FOR UPDATE",
    "SELECT nextval('verifywise.revisions')",
    "SELECT last_value FROM verifywise.revisions",
    "COPY verifywise.audit_trail FROM '/dev/null'",
    "COPY verifywise.audit_trail TO '/tmp/trail'",
    "COPY verifywise.audit_trail TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
    "CREATE TABLE verifywise.mine (id int)",
    "CREATE POLICY mine ON verifywise.audit_trail USING (true)",
    "CREATE TABLE den.child () INHERITS (verifywise.audit_trail)",
    "CREATE TABLE den.child (id text REFERENCES verifywise.tenants (tenant_id))",
    "CREATE TRIGGER mine AFTER INSERT ON verifywise.audit_trail EXECUTE FUNCTION den.anything()",
]


@pytest.mark.parametrize("statement", REFUSED_TO_READERS)
def test_a_reader_is_refused(house: House, statement: str) -> None:
    owner = psycopg2.extensions.parse_dsn(house.owner)["user"]
    with logged_in(house.reader.url) as reader, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(reader, statement.format(owner=owner, pipeline=house.pipeline.name))


def test_a_copy_holds_only_the_readers_rows(house: House) -> None:
    copied = io.StringIO()
    with logged_in(house.reader.url) as reader, reader.cursor() as cursor:
        cursor.copy_expert("COPY verifywise.audit_trail TO STDOUT", copied)

    assert [line.split("\t")[0] for line in copied.getvalue().splitlines()] == [OURS] * ROWS


def test_a_function_in_a_query_is_not_shown_rows_of_others_and_neither_are_statistics(house: House) -> None:
    with logged_in(house.reader.url) as reader:
        ask(
            reader,
            "CREATE FUNCTION den.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS "
            "$$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $$",
        )
        ask(reader, "SELECT * FROM verifywise.audit_entries WHERE den.tell(tenant_id)")
        told = {notice.split("told ")[1].strip() for notice in reader.notices}
        statistics = ask(reader, "SELECT * FROM pg_stats WHERE schemaname = 'verifywise' AND attname = 'tenant_id'")

    assert told == {OURS}
    assert statistics == []


# One with the rights of the owner behind it: what it would write is no history of anything.
BORROWED = """
    CREATE TEMP TABLE borrowed (LIKE verifywise.compliance_results);
    CREATE TRIGGER borrowed BEFORE UPDATE ON borrowed FOR EACH ROW EXECUTE FUNCTION verifywise.keep_former_verdict();
"""

REFUSED_TO_PIPELINES = [
    BORROWED,
    "ALTER TABLE verifywise.audit_trail DISABLE TRIGGER ALL",
    "ALTER TABLE verifywise.audit_trail DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE verifywise.canonical_records DISABLE TRIGGER keep_former_record",
    "DROP TRIGGER append_only ON verifywise.audit_trail",
    "DROP TABLE verifywise.audit_trail",
    "DROP POLICY of_one_tenant ON verifywise.audit_trail",
    "DROP SCHEMA verifywise CASCADE",
    "SET session_replication_role = replica",
    "SET row_security = off; SELECT * FROM verifywise.audit_trail",
    "CREATE TABLE verifywise.mine (id int)",
    "CREATE OR REPLACE FUNCTION verifywise.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$",
    "SELECT setval('verifywise.revisions', 1)",
    "UPDATE verifywise.alembic_version SET version_num = '0001'",
    "UPDATE verifywise.access SET kind = 'reader', tenant_id = 'globex'",
    "INSERT INTO verifywise.access VALUES ('mine', 'pipeline', NULL, now())",
]


@pytest.mark.parametrize("statement", REFUSED_TO_PIPELINES)
def test_a_pipeline_is_refused(house: House, statement: str) -> None:
    with logged_in(house.pipeline.url, OURS) as pipeline, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(pipeline, statement)


def test_a_pipeline_writes_no_row_of_another_tenant_into_any_table(house: House) -> None:
    tried = 0
    for table, privileges in access.PIPELINE.items():
        with logged_in(house.pipeline.url, "initech") as pipeline:
            if "INSERT" in privileges:
                tried += 1
                with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
                    insert(pipeline, table, "hooli")
    assert tried > 15


def test_a_pipeline_moves_no_row_to_another_tenant_and_reaches_none_of_theirs(house: House) -> None:
    for table, privileges in access.PIPELINE.items():
        if "UPDATE" not in privileges:
            continue
        with logged_in(house.pipeline.url, OURS) as pipeline, pipeline.cursor() as cursor:
            cursor.execute(f"UPDATE verifywise.{table} SET tenant_id = tenant_id WHERE tenant_id = 'globex'")
            assert cursor.rowcount == 0
            with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
                cursor.execute(f"UPDATE verifywise.{table} SET tenant_id = 'hooli'")


def test_a_verdict_that_a_pipeline_deletes_is_kept_and_another_tenants_is_out_of_reach(house: House) -> None:
    with logged_in(house.pipeline.url, OURS) as pipeline, pipeline.cursor() as cursor:
        cursor.execute("DELETE FROM verifywise.compliance_results")
        assert cursor.rowcount == ROWS
        assert rows_of(pipeline, "compliance_result_history", OURS) == 2 * ROWS


def privileges_of(owner: PgConnection, role: str) -> dict[str, set[str]]:
    """Return what a role may do with each table and view, by the catalogue, column privileges included."""
    return {
        relation: {
            privilege
            for privilege in PRIVILEGES
            if ask(owner, f"SELECT has_table_privilege('{role}', 'verifywise.{relation}', '{privilege}')") == [(True,)]
            or (
                privilege in ("SELECT", "INSERT", "UPDATE", "REFERENCES")
                and ask(owner, f"SELECT has_any_column_privilege('{role}', 'verifywise.{relation}', '{privilege}')")
                == [(True,)]
            )
        }
        for relation in [*relations(owner, "r", "v"), access.REVISION_TABLE]
    }


def test_a_pipeline_may_delete_nothing_but_verdicts_and_change_nothing_that_was_appended(house: House) -> None:
    with logged_in(house.owner) as owner:
        given = privileges_of(owner, house.pipeline.name)
        views = {name: {"SELECT"} for name in [*relations(owner, "v"), access.REVISION_TABLE]}

    assert given == {table: set(privileges) for table, privileges in access.PIPELINE.items()} | views
    assert {table for table, privileges in given.items() if "DELETE" in privileges} == {"compliance_results"}
    assert not any("TRUNCATE" in privileges for privileges in given.values())
    for told in ("audit_trail", "audit_checkpoints", "lifecycle_events", "integrity_events", "adoptions"):
        assert given[told] == {"SELECT", "INSERT"}


def test_a_reader_may_read_and_nothing_else(house: House) -> None:
    with logged_in(house.owner) as owner:
        given = privileges_of(owner, house.reader.name)

    assert set(map(frozenset, given.values())) == {frozenset({"SELECT"})}


def test_every_table_is_under_row_level_security_and_said_to_be_used_in_some_way(house: House) -> None:
    with logged_in(house.owner) as owner:
        unprotected = ask(
            owner,
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'm') AND NOT relrowsecurity "
            "AND relnamespace = 'verifywise'::regnamespace",
        )
        tables = relations(owner, "r")

    assert unprotected == [(access.REVISION_TABLE,)]
    assert sorted(access.PIPELINE) == tables == sorted(table.name for table in metadata.tables.values())


def test_every_view_is_read_with_the_rights_of_who_reads_it(house: House) -> None:
    with logged_in(house.owner) as owner:
        views = ask(
            owner,
            "SELECT relname, coalesce('security_invoker=true' = ANY(reloptions), false) FROM pg_class "
            "WHERE relnamespace = 'verifywise'::regnamespace AND relkind IN ('v', 'm')",
        )

    assert len(views) >= 5
    assert [name for name, invoker in views if not invoker] == []


def test_no_function_is_everybodys_and_those_with_the_owners_rights_look_only_where_postgres_is(house: House) -> None:
    with logged_in(house.owner) as owner:
        functions = ask(
            owner,
            "SELECT proname, prosecdef, proconfig, EXISTS (SELECT FROM aclexplode(coalesce(proacl, "
            "acldefault('f', proowner))) WHERE grantee = 0) "
            "FROM pg_proc WHERE pronamespace = 'verifywise'::regnamespace",
        )

    assert [name for name, _, _, everybodys in functions if everybodys] == []
    with_owners_rights = {name: settings for name, definer, settings, _ in functions if definer}
    assert len(with_owners_rights) >= 3
    assert all(str(settings).startswith("['search_path=pg_catalog") for settings in with_owners_rights.values())


@pytest.mark.parametrize("name", ['"; DROP SCHEMA verifywise CASCADE; --', "%s %(x)s :x '$$\\", "Ünï 模型", "public "])
def test_a_role_is_let_in_and_shut_out_whatever_it_is_called(house: House, name: str) -> None:
    name += new_name("")
    with login_role(house.owner, name) as role:
        with Store(house.owner) as store:
            for _ in range(2):  # again is not another access
                with store.begin(None) as connection:
                    access.grant(connection, name, "reader", THEIRS, NOW)
            with logged_in(role.url) as connection:
                assert set(tenants_seen(connection)["audit_trail"]) == {THEIRS}

            with store.begin(None) as connection:
                access.revoke(connection, name)

        with logged_in(role.url) as connection, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(connection, "SELECT * FROM verifywise.audit_trail")
        with logged_in(house.owner) as owner:
            assert rows_of(owner, "audit_trail", THEIRS) == ROWS


def test_a_role_that_is_not_there_is_told_how_to_create_it(house: House) -> None:
    with (
        Store(house.owner) as store,
        pytest.raises(DatabaseError, match='CREATE ROLE "new""comer" LOGIN'),
        store.begin(None) as connection,
    ):
        access.grant(connection, 'new"comer', "pipeline", None, NOW)


@pytest.mark.parametrize(
    ("options", "reason"),
    [("SUPERUSER", "is a superuser"), ("BYPASSRLS", "has BYPASSRLS"), ("IN ROLE {owner}", "member")],
)
def test_a_role_that_row_level_security_would_not_hold_is_not_let_in(house: House, options: str, reason: str) -> None:
    owner = psycopg2.extensions.parse_dsn(house.owner)["user"]
    with (
        login_role(house.owner, new_name("mighty"), options.format(owner=owner)) as role,
        Store(house.owner) as store,
        pytest.raises(DatabaseError, match=reason),
        store.begin(None) as connection,
    ):
        access.grant(connection, role.name, "reader", OURS, NOW)


def test_a_readers_tenant_is_changed_only_by_shutting_it_out_first(house: House) -> None:
    with Store(house.owner) as store:
        for kind, tenant in (("reader", THEIRS), ("pipeline", None)):
            with (
                pytest.raises(DatabaseError, match=r"reader of acme already.*db revoke"),
                store.begin(None) as connection,
            ):
                access.grant(connection, house.reader.name, kind, tenant, NOW)  # type: ignore[arg-type]  # both kinds are


def test_a_role_without_access_cannot_be_shut_out(house: House) -> None:
    with login_role(house.owner, new_name("nobody")) as nobody, Store(house.owner) as store:
        for name in (nobody.name, "never there"):
            with pytest.raises(DatabaseError, match="has no access to revoke"), store.begin(None) as connection:
                access.revoke(connection, name)


def test_an_upgrade_gives_those_with_access_what_they_need_of_new_tables_and_takes_what_is_too_much(
    house: House,
) -> None:
    name = house.pipeline.name
    with logged_in(house.owner) as owner:
        before = privileges_of(owner, name)
    execute(
        house.owner,
        f"REVOKE ALL ON verifywise.adoptions, verifywise.audit_entries FROM {name}",
        f"GRANT DELETE ON verifywise.canonical_records TO {name}",
    )

    database.upgrade(house.owner)

    with logged_in(house.owner) as owner:
        assert privileges_of(owner, name) == before


def test_the_list_of_roles_says_who_is_what_and_whom_row_level_security_does_not_hold(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = psycopg2.extensions.parse_dsn(house.owner)["user"]
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", house.owner)
    with login_role(house.owner, new_name("mighty"), "BYPASSRLS") as mighty:
        told = json.loads(CliRunner().invoke(app, ["db", "roles", "--json"]).stdout)
        shown = CliRunner().invoke(app, ["db", "roles"]).output

    kinds = {role["role"]: (role["kind"], role["tenant_id"]) for role in told["roles"]}
    expected = {
        owner: ("owner", None),
        mighty.name: ("unbound", None),
        house.pipeline.name: ("pipeline", None),
        house.reader.name: ("reader", OURS),
        house.stranger.name: ("none", None),
    }
    assert expected.items() <= kinds.items()
    assert (told["role_in_use"], told["held_by_row_security"]) == (owner, False)
    assert f"This URL's role {owner} is a superuser: row-level security does not hold it" in " ".join(shown.split())
    gone = {role["role"]: role["remark"] for role in told["roles"]}["role 1 of acme " + HOSTILE]
    assert gone == "there is no such role any more: revoke it"


def test_whoever_is_not_the_owner_is_told_so_in_a_sentence(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", house.pipeline.url)
    for command in (
        ["grant", "pipeline", house.reader.name],
        ["grant", "reader", house.reader.name, "--tenant", THEIRS],
        ["revoke", house.reader.name],
        ["upgrade"],
    ):
        result = CliRunner().invoke(app, ["db", *command])
        assert result.exit_code == 1
        assert re.search(r"the schema's owner|belongs to the database role", " ".join(result.output.split()))

    told = json.loads(CliRunner().invoke(app, ["db", "roles", "--json"]).stdout)
    assert told["held_by_row_security"] is True


def test_the_commands_let_a_role_in_and_shut_it_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", house.owner)
    with login_role(house.owner, new_name("auditor")) as role:
        said = [
            CliRunner().invoke(app, ["db", *command]).output.strip()
            for command in (
                ["grant", "pipeline", role.name],
                ["revoke", role.name],
                ["grant", "reader", role.name, "--tenant", "acmee"],
                ["revoke", role.name],
            )
        ]

    assert said == [
        f"{role.name} may sync.",
        f"{role.name} has no access any more.",
        f"acmee was never synced here: is its name right?\n{role.name} may read acmee.",
        f"{role.name} has no access any more.",
    ]


def test_a_reader_reads_its_tenant_through_the_store(house: House) -> None:
    with Store(house.reader.url) as store:
        assert overview(store, OURS).versions == 0  # those that fill made are gone
        with store.begin(OURS) as connection:
            assert access.is_known_tenant(connection, OURS)
            assert not access.is_known_tenant(connection, THEIRS)


def test_what_a_role_may_not_do_is_refused_in_a_sentence_without_a_row_in_it(house: House) -> None:
    with (
        Store(house.reader.url) as store,
        pytest.raises(DatabaseError, match="may not do this: permission denied for table tenants") as caught,
        store.begin(OURS) as connection,
    ):
        tenancy.deactivate(connection, OURS, NOW)
    assert not caught.value.passing
