"""The database: its connection, and whether its schema is the one this code was written for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError

from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.errors import (
    DatabaseError,
    DatabaseFailedError,
    DatabaseUnreachableError,
    failures_as_sentences,
)
from verifywise_mlflow.persistence.pg_text_codec import dumps, loads
from verifywise_mlflow.persistence.tables import SCHEMA

__all__ = [
    "DatabaseError",
    "DatabaseFailedError",
    "connect",
    "current_revision",
    "database_url",
    "ensure_schema",
    "newest_revision",
    "opened",
    "refuse_other_revision",
    "upgrade",
]

VARIABLE = "VERIFYWISE_DATABASE_URL"
"""The environment variable that holds the database's URL."""

SCHEMA_LOCK = 0x76776D6C
"""The advisory lock of the schema: any number that no other program on the server uses."""

_LOCK_NOT_AVAILABLE, _INSUFFICIENT_PRIVILEGE = "55P03", "42501"


OLDEST_SERVER = (15,)
"""Postgres 15 is the first whose views can be read with the rights of who reads them (``security_invoker``)."""

UPGRADE_WAIT = "120s"
"""How long an upgrade waits for the transactions that have begun; whoever begins meanwhile waits behind it."""


def database_url() -> str:
    """Return the URL that the environment gives.

    Raises:
        DatabaseError: the variable is not set.
    """
    url = os.environ.get(VARIABLE)
    if not url:
        raise DatabaseError(f"set the environment variable {VARIABLE} to postgresql://user:password@host:5432/database")
    return url


def connect(url: str) -> Engine:
    """Return an engine for a Postgres URL; nothing is sent yet.

    Raises:
        DatabaseError: the URL is none, or not of Postgres.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise DatabaseError(
            "the database URL cannot be read: write postgresql://user:password@host:5432/database"
        ) from None
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise DatabaseError(f"the database must be Postgres, not {parsed.get_backend_name()}")
    # 'postgres://' is what many hosts print; and the driver is named, since SQLAlchemy 2.1 will mean another one.
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        # An error would quote the values of its statement, and errors are shown and kept by Dagster.
        hide_parameters=True,
        json_serializer=dumps,
        json_deserializer=loads,
        # Without this, psycopg2 sends the rows of an upsert one by one.
        executemany_mode="values_plus_batch",
        executemany_batch_page_size=500,
        pool_size=2,
        pool_pre_ping=True,
        # UTC, whatever the server's zone: psycopg2 cannot read what would be the year 10000 there.
        connect_args={"application_name": "verifywise-mlflow", "connect_timeout": 10, "options": "-c timezone=UTC"},
    )


def upgrade(url: str) -> str:
    """Bring the schema to the newest revision, from nothing if need be; return that revision.

    It waits for the transactions that have begun. Whoever has access keeps it, and gets what it needs of new tables.

    Raises:
        DatabaseError: the schema is newer than this code or belongs to another role, or it was held for too long.
    """
    engine = connect(url)
    try:
        with _begin(engine) as connection:
            _upgrade(connection)
            role_grants.grant_again(connection)
            return newest_revision()
    finally:
        engine.dispose()


def ensure_schema(engine: Engine) -> None:
    """Create the schema where there is none; refuse one that is older or newer than this code.

    An existing schema is never migrated in passing: another process may be running on it with older code.

    Raises:
        DatabaseError: the schema is not this code's, or the database cannot be reached.
    """
    newest = newest_revision()
    with _begin(engine) as connection:
        if not inspect(connection).get_table_names(schema=SCHEMA):
            _upgrade(connection)
            return
        current = current_revision(connection)
    refuse_other_revision(current, newest)


def refuse_other_revision(current: str | None, newest: str) -> None:
    """Refuse a schema that is at another revision than the one that this code was written for.

    Raises:
        DatabaseError: it is older or newer.
    """
    if current == newest:
        return
    if current is None or current in _known():
        raise DatabaseError(
            f"the schema {SCHEMA} is at revision {current}, this code needs {newest}: run verifywise-mlflow db upgrade"
        )
    raise _newer(current)


def _newer(current: str) -> DatabaseError:
    return DatabaseError(
        f"the schema {SCHEMA} is at revision {current}, which this code does not know: "
        "a newer verifywise-mlflow made it, so run that one"
    )


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the schema is at."""
    return MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA}).get_current_revision()


@contextmanager
def opened(engine: Engine) -> Iterator[Connection]:
    """Open a connection to a server that is new enough.

    Raises:
        DatabaseUnreachableError: there is none to be had.
        DatabaseError: the server is too old.
    """
    try:
        connection = engine.connect()
    except OperationalError as error:
        raise DatabaseUnreachableError(error) from None
    except ProgrammingError as error:  # the driver's own: nothing was sent yet
        raise DatabaseError(f"the database URL cannot be used: {error.orig}") from None
    with connection:
        refuse_old_server(connection.dialect.server_version_info or ())
        yield connection


def refuse_old_server(version: tuple[int, ...]) -> None:
    """Refuse a server that cannot keep tenants apart in views.

    Raises:
        DatabaseError: it is older than Postgres 15.
    """
    if version < OLDEST_SERVER:
        raise DatabaseError(
            f"the server is Postgres {'.'.join(map(str, version))}; Postgres {OLDEST_SERVER[0]} or newer is needed"
        )


@contextmanager
def _begin(engine: Engine) -> Iterator[Connection]:
    with opened(engine) as connection, failures_as_sentences(engine.url.username), connection.begin():
        yield connection


def _upgrade(connection: Connection) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{UPGRADE_WAIT}'"))
    try:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SCHEMA_LOCK})
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != _LOCK_NOT_AVAILABLE:
            raise
        raise DatabaseError(
            f"a transaction of another verifywise-mlflow has been open for more than {UPGRADE_WAIT}: "
            "wait for it or end it, and upgrade again. Nothing was changed"
        ) from None
    if not connection.scalar(text("SELECT to_regnamespace(:schema) IS NOT NULL"), {"schema": SCHEMA}):
        _create_schema(connection)
    elif not role_grants.is_owner(connection):
        raise DatabaseError(
            f"the schema {SCHEMA} belongs to the database role {role_grants.owner(connection)!r}, "
            "which alone can upgrade it: run verifywise-mlflow db upgrade with its URL"
        )
    current = current_revision(connection)
    if current is not None and current not in _known():
        raise _newer(current)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _create_schema(connection: Connection) -> None:
    try:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) != _INSUFFICIENT_PRIVILEGE:
            raise
        raise DatabaseError(
            f"the database has no schema {SCHEMA}, and the role {connection.engine.url.username!r} may not create it: "
            "run verifywise-mlflow db upgrade with the URL of a role that may, which will own it"
        ) from None


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _known() -> set[str]:
    return {revision.revision for revision in _scripts().walk_revisions()}


def newest_revision() -> str:
    """Return the revision of the schema that this code was written for."""
    return str(_scripts().get_current_head())
