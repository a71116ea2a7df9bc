from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from verifywise_mlflow.persistence.database import (
    DATABASE_URL_VARIABLE,
    connect,
    current_revision,
    database_url,
    ensure_schema,
    newest_revision,
    refuse_old_server,
    upgrade,
)
from verifywise_mlflow.persistence.errors import DatabaseError, DatabaseUnreachableError
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow_tests.persistence.schema_lock import wait_for_a_blocked_upgrade
from verifywise_mlflow_tests.persistence.synthetic_revision import (
    LATER_REVISION,
    migrations_with_a_second_revision,
)
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.trail_entries import NOW


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = connect(empty_database_url)
    yield engine
    engine.dispose()


def set_revision(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {SCHEMA}.alembic_version SET version_num = :revision"), {"revision": revision})


def test_a_connection_whose_server_is_silent_ends_after_a_minute_unless_the_url_says_otherwise(
    empty_database_url: str,
) -> None:
    limits = []
    for url in (empty_database_url, f"{empty_database_url}?tcp_user_timeout=5000&keepalives_idle=2"):
        engine = connect(url)
        with engine.connect() as connection:
            assert connection.connection.driver_connection
            descriptor = os.dup(connection.connection.driver_connection.fileno())
        with socket.socket(fileno=descriptor) as opened:
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            limits.append([opened.getsockopt(socket.IPPROTO_TCP, option) for option in options])
        engine.dispose()

    assert limits == [[30, 10, 3, 60_000], [2, 10, 3, 5_000]]


def test_a_first_start_creates_the_schema_and_a_second_keeps_it(engine: Engine) -> None:
    ensure_schema(engine)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE {SCHEMA}.kept (id int)"))
    ensure_schema(engine)

    with engine.connect() as connection:
        assert current_revision(connection) is not None
        assert "kept" in inspect(connection).get_table_names(SCHEMA)
        assert inspect(connection).get_table_names("public") == []


def test_upgrading_twice_changes_nothing(empty_database_url: str, engine: Engine) -> None:
    assert upgrade(empty_database_url) == upgrade(empty_database_url)

    ensure_schema(engine)


def test_a_schema_without_a_revision_is_refused_with_the_remedy(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        connection.execute(text(f"CREATE TABLE {SCHEMA}.somebodys (id int)"))

    with pytest.raises(DatabaseError, match="verifywise-mlflow db upgrade"):
        ensure_schema(engine)


def test_upgrade_migrates_a_schema_without_a_revision(empty_database_url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        connection.execute(text(f"CREATE TABLE {SCHEMA}.somebodys (id int)"))
    with pytest.raises(DatabaseError):
        ensure_schema(engine)

    upgrade(empty_database_url)

    ensure_schema(engine)


def test_a_newer_schema_is_refused_and_unchanged(engine: Engine) -> None:
    ensure_schema(engine)
    set_revision(engine, "9999")

    with pytest.raises(DatabaseError, match="revision 9999, which this code does not know"):
        ensure_schema(engine)

    with engine.connect() as connection:
        assert current_revision(connection) == "9999"


def test_upgrade_refuses_a_newer_schema(empty_database_url: str, engine: Engine) -> None:
    ensure_schema(engine)
    set_revision(engine, "9999")

    with pytest.raises(DatabaseError, match="9999"):
        upgrade(empty_database_url)


@pytest.mark.parametrize(
    "url",
    [
        *("", "nonsense", "sqlite:///a.db", "mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:x/d"),
        *("postgresql://u:x@hunter2@h/d", "postgresql://u@hunter2:x@h/d"),
    ],
)
def test_a_url_of_another_kind_is_refused_without_quoting_its_password(url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        connect(url)

    assert "hunter2" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_each_scheme_of_postgres_is_accepted(scheme: str) -> None:
    assert connect(f"{scheme}://u@h/d").url.drivername == "postgresql+psycopg2"


def test_the_error_of_an_unreachable_database_does_not_quote_the_password() -> None:
    with pytest.raises(DatabaseError, match="cannot be reached") as caught:
        upgrade("postgresql://u:hunter2@127.0.0.1:1/d")

    assert "hunter2" not in str(caught.value)


def test_the_error_of_a_refused_login_does_not_quote_the_password(empty_database_url: str) -> None:
    wrong = connect(empty_database_url).url.set(password="hunter2").render_as_string(hide_password=False)

    with pytest.raises(DatabaseError, match="authentication failed") as caught:
        upgrade(wrong)

    assert "hunter2" not in str(caught.value)


def test_without_the_variable_the_error_says_which_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_URL_VARIABLE, raising=False)

    with pytest.raises(DatabaseError, match=DATABASE_URL_VARIABLE):
        database_url()


def test_a_server_older_than_postgres_15_is_refused() -> None:
    with pytest.raises(DatabaseError, match=r"the server is Postgres 14\.11; Postgres 15 or newer is needed"):
        refuse_old_server((14, 11))
    refuse_old_server((15, 0))


def test_a_first_start_by_a_role_without_create_privilege_names_the_remedy(empty_database_url: str) -> None:
    with login_role(empty_database_url, new_name("pipeline")) as role:
        for start in (upgrade, Store):
            with pytest.raises(
                DatabaseError, match=f"'{role.name}' may not create it: run verifywise-mlflow db upgrade"
            ):
                start(role.url)


def test_a_role_without_access_is_refused_with_the_remedy(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    with (
        login_role(empty_database_url, new_name("nobody")) as role,
        pytest.raises(
            DatabaseError, match=r"permission denied for schema verifywise_mlflow.*verifywise-mlflow db grant"
        ),
    ):
        Store(role.url)


FIRST_START = "import sys; from verifywise_mlflow.persistence.store import Store; Store(sys.argv[1]).close()"


def test_concurrent_first_starts_create_one_schema(empty_database_url: str, engine: Engine) -> None:
    starts = [
        subprocess.Popen([sys.executable, "-c", FIRST_START, empty_database_url], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]

    assert [(start.communicate(timeout=120)[1], start.returncode) for start in starts] == [("", 0)] * 2
    with engine.connect() as connection:
        assert current_revision(connection) == newest_revision()


UPGRADE_TO_SECOND = """
import sys
from pathlib import Path
from verifywise_mlflow.persistence import database
database.MIGRATIONS = Path(sys.argv[2])
print(database.upgrade(sys.argv[1]))
"""


def test_an_upgrade_waits_for_open_transactions_and_older_code_is_refused_afterwards(
    empty_database_url: str, engine: Engine, tmp_path: Path
) -> None:
    later = migrations_with_a_second_revision(tmp_path / "migrations")
    with Store(empty_database_url) as older, Store(empty_database_url) as other:
        with older.begin("acme") as session:
            tenancy.activate(session, "https://a.example", None, NOW)
            upgrading = subprocess.Popen(
                [sys.executable, "-c", UPGRADE_TO_SECOND, empty_database_url, str(later)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            wait_for_a_blocked_upgrade(engine)
            assert upgrading.poll() is None
        printed, errors = upgrading.communicate(timeout=120)

        assert (upgrading.returncode, printed.strip(), errors) == (0, LATER_REVISION, "")
        for store in (older, other):
            with (
                pytest.raises(DatabaseError, match=f"at revision {LATER_REVISION}, which this code does not know"),
                store.begin("acme") as session,
            ):
                tenancy.deactivate(session, NOW)
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT tenant_id, deactivated_at FROM {SCHEMA}.tenants")).all()
        assert [tuple(row) for row in rows] == [("acme", None)], (
            "the open transaction was committed, and nothing was written afterwards"
        )


def test_an_upgrade_times_out_on_a_long_transaction(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verifywise_mlflow.persistence.database.UPGRADE_LOCK_TIMEOUT", "200ms")
    with (
        Store(empty_database_url) as store,
        store.begin_shared(),
        pytest.raises(DatabaseError, match=r"open for more than 200ms: process \d+ of the role .*Nothing was changed"),
    ):
        upgrade(empty_database_url)


def test_an_upgrade_by_another_role_names_the_owner(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    with (
        login_role(empty_database_url, new_name("somebody")) as role,
        pytest.raises(DatabaseError, match="belongs to the database role 'postgres', which alone can upgrade it"),
    ):
        upgrade(role.url)


@pytest.mark.parametrize(
    ("statement", "expected_message", "retryable"),
    [
        ("SET LOCAL statement_timeout = 10; SELECT pg_sleep(5)", "canceling statement due to statement timeout", True),
        ("SELECT pg_terminate_backend(pg_backend_pid())", "terminating connection|closed the connection", True),
        ("SET LOCAL idle_in_transaction_session_timeout = 1; SELECT 1", "", True),
        ("SET LOCAL transaction_read_only = on; CREATE TABLE a (b int)", "is read-only: cannot execute", False),
        ("SELECT rpad('a', 1100000000)", "requested length too large", False),
        (
            "CREATE TEMP TABLE a (b text PRIMARY KEY); "
            "INSERT INTO a SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) AS i",
            "index row",
            False,
        ),
    ],
    ids=["time-out", "lost", "idle", "read only", "too large", "too large for an index"],
)
def test_database_errors_become_sentences_and_say_whether_they_are_retryable(
    store: Store, statement: str, expected_message: str, retryable: bool
) -> None:
    def ask_and_idle() -> None:
        with store.begin_shared() as connection:
            connection.execute(text(statement))
            time.sleep(0.3)
            connection.execute(text("SELECT 1"))

    with pytest.raises(DatabaseError) as caught:
        ask_and_idle()

    assert re.search(expected_message, str(caught.value))
    assert ".." not in str(caught.value)
    assert caught.value.retryable is retryable


def test_an_error_of_the_program_passes_through_without_values(store: Store) -> None:
    with pytest.raises(DBAPIError) as caught, store.begin_shared() as connection:
        connection.execute(text("SELECT 1 / length(CAST(:value AS text)) - 1 / 0"), {"value": "hunter2"})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("access", ["begin", "exclusive"])
def test_an_unreachable_server_is_retryable_and_a_refused_login_is_not(empty_database_url: str, access: str) -> None:
    with Store(empty_database_url) as store:
        store.engine.dispose()
        for change, retryable in (({"port": 1}, True), ({"password": "hunter2"}, False), ({"database": "no"}, False)):
            url = store.engine.url.set(**change)
            store._engine = connect(url.render_as_string(hide_password=False))
            with (
                pytest.raises(DatabaseUnreachableError, match="cannot be reached") as caught,
                store.begin_shared() if access == "begin" else store.exclusive("acme"),
            ):
                pytest.fail("it was let in")
            assert (caught.value.retryable, "hunter2" in str(caught.value)) == (retryable, False)
            store._engine = connect(empty_database_url)
