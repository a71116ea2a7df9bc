"""Connects to the database, and checks whether its schema is at the revision that this release was written for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, ProgrammingError

from verifywise_mlflow.persistence import locks, role_grants
from verifywise_mlflow.persistence.errors import (
    DatabaseError,
    DatabaseFailedError,
    DatabaseUnreachableError,
    LockTimeoutError,
    NewerSchemaError,
    OutdatedSchemaError,
    error_code,
    translate_errors,
)
from verifywise_mlflow.persistence.json_texts import let_queries_return_json_as_text
from verifywise_mlflow.persistence.migration_wait import await_migration
from verifywise_mlflow.persistence.pg_text_codec import dumps, loads
from verifywise_mlflow.persistence.role_exposures import RoleExposure, reader_exposures
from verifywise_mlflow.persistence.schema_ownership import refuse_foreign_schema
from verifywise_mlflow.persistence.schema_protection import protection_problems
from verifywise_mlflow.persistence.session_names import session_name
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow.persistence.tables.schema import SCHEMA_PROBLEM
from verifywise_mlflow.persistence.tables.schema import VARIABLE as SCHEMA_VARIABLE

__all__ = [
    "DatabaseError",
    "DatabaseFailedError",
    "check",
    "connect",
    "current_revision",
    "database_url",
    "ensure_schema",
    "newest_revision",
    "open_connection",
    "refuse_revision_mismatch",
    "upgrade",
]

DATABASE_URL_VARIABLE = "VERIFYWISE_DATABASE_URL"
"""The environment variable that holds the database's URL."""

MIGRATIONS = Path(__file__).parent / "migrations"

MIN_SERVER_VERSION = (15,)
"""The oldest supported version of Postgres. It is the first version whose views can run with the querying role's rights
(``security_invoker``)."""

UPGRADE_LOCK_TIMEOUT = "120s"
"""How long an upgrade waits for open transactions of a ``Store``. A transaction that begins meanwhile waits for the
upgrade."""

SILENCE_SECONDS = 60
"""How long the server's machine may be silent, unless ``statement_seconds`` or the URL sets another limit. After that
time, a connection counts as lost, even while a statement waits for its result. The operating system's own limit is two
hours. A statement may run longer than this limit, since the machine acknowledges packets meanwhile.
"""
_INSUFFICIENT_PRIVILEGE = "42501"
_CREATED_MEANWHILE = frozenset({"23505", "42P06", "42P07"})
"""Postgres' error codes if another process creates the schema at the same time."""


def database_url() -> str:
    """Return the URL from the environment.

    Raises:
        DatabaseError: the variable is not set, or empty.
    """
    url = os.environ.get(DATABASE_URL_VARIABLE)
    if not url:
        raise DatabaseError(
            f"set the environment variable {DATABASE_URL_VARIABLE} to postgresql://user:password@host:5432/database"
        )
    return url


def connect(url: str, statement_seconds: float | None = None) -> Engine:
    """Return an engine for a Postgres URL. It does not connect yet.

    Args:
        url: The database.
        statement_seconds: How long a statement may take on the server, including its wait for locks, and how long the
            server's machine may take to acknowledge data. Without this argument, only locks and silence have a limit.

    Raises:
        DatabaseError: the URL cannot be read or is no URL of Postgres, or the configured schema name is refused.
    """
    if SCHEMA_PROBLEM:
        raise DatabaseError(f"{SCHEMA_VARIABLE} is not the name of a schema for our tables: {SCHEMA_PROBLEM}")
    if url.partition("?")[0].count("@") > 1:
        # SQLAlchemy ends the password at the first @ and takes the rest for the host, which errors quote.
        raise DatabaseError(
            f"{DATABASE_URL_VARIABLE} has more than one @: write each @ of the user and of the password as %40, "
            "each / as %2F and each : as %3A"
        )
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is not a number
        raise DatabaseError(
            "the database URL cannot be read: write postgresql://user:password@host:5432/database"
        ) from None
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise DatabaseError(f"the database must be Postgres, not {parsed.get_backend_name()}")
    # Many hosting providers print 'postgres://'. The driver is named, since SQLAlchemy 2.1 changes the default driver.
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        # An error would quote the values of its statement, and Dagster displays and stores errors.
        hide_parameters=True,
        json_serializer=dumps,
        json_deserializer=loads,
        # Without this, psycopg2 sends the rows of an upsert one by one.
        executemany_mode="values_plus_batch",
        executemany_batch_page_size=500,
        pool_size=2,
        pool_pre_ping=True,
        # UTC, regardless of the server's zone: in another zone, a time may fall into the year 10000, which psycopg2
        # cannot read.
        # Without the schema public in the path: where readers may create functions in it, Postgres would prefer a
        # reader's pg_relation_size(oid) to its own pg_relation_size(regclass), and run it with our role's rights.
        connect_args={
            "application_name": session_name(),
            "connect_timeout": 10,
            "options": f"-c timezone=UTC -c search_path=pg_catalog,pg_temp {_time_limits(statement_seconds)}",
            **{name: value for name, value in _silence_limits(statement_seconds).items() if name not in parsed.query},
        },
    )
    let_queries_return_json_as_text(engine)
    return engine


def _silence_limits(statement_seconds: float | None) -> dict[str, int]:
    return {
        "keepalives_idle": SILENCE_SECONDS // 2,
        "keepalives_interval": SILENCE_SECONDS // 6,
        "keepalives_count": 3,
        "tcp_user_timeout": int((statement_seconds or SILENCE_SECONDS) * 1_000),  # ms
    }


def _time_limits(statement_seconds: float | None) -> str:
    if statement_seconds is None:
        return f"-c lock_timeout={locks.LOCK_TIMEOUT}"
    milliseconds = int(statement_seconds * 1_000)
    return f"-c lock_timeout={milliseconds} -c statement_timeout={milliseconds}"


def upgrade(url: str) -> str:
    """Create the schema if needed, migrate it to the newest revision, and return that revision.

    The upgrade waits for open transactions for up to two minutes. Roles with access keep their access, and get the
    privileges that new tables need.

    Raises:
        DatabaseError: the database cannot be used; or the schema may not be created, is newer than this code, belongs
            to another role or another product, or was locked for too long.
    """
    engine = connect(url)
    try:
        _upgrade(engine)
        return newest_revision()
    finally:
        engine.dispose()


@dataclass(frozen=True, slots=True)
class SchemaCheck:
    """A schema that this release can use."""

    revision: str
    exposures: list[RoleExposure]
    """What readers can do although they should not."""
    protection_problems: list[str]
    """How the triggers and policies that protect evidence and tenants differ from this release's."""


def check(url: str, *, wait_seconds: float = 0.0) -> SchemaCheck:
    """Refuse a schema that is not at the revision that this release needs; return the revision and what is unprotected.

    Nothing is changed. While the schema is older or missing, wait for a migration for up to ``wait_seconds``.

    Raises:
        DatabaseError: the database cannot be used; or there is no schema, it is at another revision, belongs to another
            product, or is still locked by a migration.
    """
    engine = connect(url)
    try:
        return await_migration(lambda: _check(engine), wait_seconds)
    finally:
        engine.dispose()


def _check(engine: Engine) -> SchemaCheck:
    with _begin(engine) as connection:
        refuse_foreign_schema(connection)
        if not _has_tables(connection):
            raise OutdatedSchemaError(f"the database has no schema {SCHEMA}: run verifywise-mlflow db upgrade")
        refuse_revision_mismatch(current_revision(connection), newest_revision())
        return SchemaCheck(newest_revision(), reader_exposures(connection), protection_problems(connection))


def ensure_schema(engine: Engine) -> None:
    """Create the schema if there is none, or if it has no tables; refuse a schema older or newer than this code.

    Existing tables are never migrated here: another process may be running on them with older code.

    Raises:
        DatabaseError: the database cannot be used; or the schema is at another revision, belongs to another product or
            another role, may not be created, or was locked for too long.
    """
    newest = newest_revision()
    with _begin(engine) as connection:
        current = current_revision(connection)
        if current == newest:
            return
        exists = _has_tables(connection)
        refuse_foreign_schema(connection)
    if not exists:
        _upgrade(engine)
        return
    refuse_revision_mismatch(current, newest)


def refuse_revision_mismatch(current: str | None, newest: str) -> None:
    """Refuse a schema that is not at the revision for which this code was written.

    Raises:
        OutdatedSchemaError: the schema is older, or has no revision.
        NewerSchemaError: the schema is at a revision that this code does not know.
    """
    if current == newest:
        return
    if current is None or current in _known_revisions():
        raise OutdatedSchemaError(
            f"the schema {SCHEMA} is at revision {current}, this code needs {newest}: run verifywise-mlflow db upgrade"
        )
    raise _unknown_revision(current)


def _unknown_revision(current: str) -> NewerSchemaError:
    return NewerSchemaError(
        f"the schema {SCHEMA} is at revision {current}, which this code does not know: "
        "a newer verifywise-mlflow made it, so run that one"
    )


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the schema is at, or None before the first migration.

    Raises:
        LockTimeoutError: an upgrade held the schema's lock for too long.
    """
    table = f"{SCHEMA}.{role_grants.REVISION_TABLE}"
    if not connection.scalar(text("SELECT to_regclass(:table) IS NOT NULL"), {"table": table}):
        return None
    with locks.schema_lock_named():
        revision = connection.scalar(text(f"SELECT version_num FROM {table}"))  # noqa: S608
    return None if revision is None else str(revision)


@contextmanager
def open_connection(engine: Engine) -> Iterator[Connection]:
    """Open a connection to a server that is new enough.

    Raises:
        DatabaseUnreachableError: no connection could be opened.
        DatabaseError: the server is too old, or the driver refuses the URL.
    """
    try:
        connection = engine.connect()
    except OperationalError as error:
        raise DatabaseUnreachableError(error) from None
    except ProgrammingError as error:  # the driver raises it before it sends anything
        raise DatabaseError(f"the database URL cannot be used: {error.orig}") from None
    with connection:
        refuse_old_server(connection.dialect.server_version_info or ())
        yield connection


def refuse_old_server(version: tuple[int, ...]) -> None:
    """Refuse a server that cannot apply row-level security in views.

    Raises:
        DatabaseError: the server is older than Postgres 15.
    """
    if version < MIN_SERVER_VERSION:
        raise DatabaseError(
            f"the server is Postgres {'.'.join(map(str, version))}; Postgres {MIN_SERVER_VERSION[0]} or newer is needed"
        )


@contextmanager
def _begin(engine: Engine) -> Iterator[Connection]:
    with open_connection(engine) as connection, translate_errors(engine.url.username), connection.begin():
        yield connection


def _has_tables(connection: Connection) -> bool:
    return bool(inspect(connection).get_table_names(schema=SCHEMA))


def _upgrade(engine: Engine) -> None:
    for is_last_attempt in (False, True):
        try:
            with _begin(engine) as connection:
                _upgrade_in_transaction(connection)
        except LockTimeoutError:
            with _begin(engine) as connection:
                holders = "; ".join(locks.schema_lock_holders(connection)) or "it has ended meanwhile"
            raise DatabaseError(
                f"another transaction has been open for more than {UPGRADE_LOCK_TIMEOUT}: {holders}. Wait for it, or "
                "end it with SELECT pg_terminate_backend(process), and upgrade again. Nothing was changed"
            ) from None
        except DBAPIError as error:
            # Another process created the schema first, and has committed: otherwise this process would still wait for
            # it.
            if is_last_attempt or error_code(error) not in _CREATED_MEANWHILE:
                raise
        else:
            return


def _upgrade_in_transaction(connection: Connection) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{UPGRADE_LOCK_TIMEOUT}'"))
    refuse_foreign_schema(connection)
    if not connection.scalar(text("SELECT to_regnamespace(:schema) IS NOT NULL"), {"schema": SCHEMA}):
        _create_schema(connection)
    elif not role_grants.is_owner(connection):
        raise DatabaseError(
            f"the schema {SCHEMA} belongs to the database role {role_grants.owner(connection)!r}, "
            "which alone can upgrade it: run verifywise-mlflow db upgrade with its URL"
        )
    locks.lock_schema(connection)
    current = current_revision(connection)
    if current is not None and current not in _known_revisions():
        raise _unknown_revision(current)
    _run_migrations(connection)
    role_grants.regrant_all(connection)


def _create_schema(connection: Connection) -> None:
    try:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    except ProgrammingError as error:
        if error_code(error) != _INSUFFICIENT_PRIVILEGE:
            raise
        raise OutdatedSchemaError(
            f"the database has no schema {SCHEMA}, and the role {connection.engine.url.username!r} may not create it: "
            "run verifywise-mlflow db upgrade with the URL of a role that may, which will own it"
        ) from None


def _run_migrations(connection: Connection) -> None:
    # Imported here, since the import takes 0.2 s and most processes need no migration.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _known_revisions() -> list[str]:
    """Return all revisions, oldest first: the numbers that the migrations' file names begin with."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def newest_revision() -> str:
    """Return the schema's revision that this code was written for."""
    return _known_revisions()[-1]
