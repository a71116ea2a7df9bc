"""Databases for tests: empty, or with our schema.

A database with our schema is emptied after a test and lent to the next test. Migrating takes half a second, and so does
copying a template: a database is some 400 files. Emptying takes 20 ms. A database is dropped if a test changed anything
but rows, such as a grant or a column, or if it wrote many rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg2
import psycopg2.extensions

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.database import upgrade
from verifywise_mlflow_tests.support.warm_connections import add_database, kept_processes, remove_database

_TEMPLATE = "template_migrated"
_MAX_GROWTH_BYTES = 4 * 1024**2

_DEFINITIONS = """
SELECT jsonb_build_array(
    (SELECT jsonb_agg(n ORDER BY oid) FROM pg_namespace n WHERE nspname !~ '^pg_(toast_)?temp_'),
    (SELECT jsonb_agg(jsonb_build_array(
         oid, relname, relowner, relacl, relrowsecurity, relforcerowsecurity, reloptions, relkind) ORDER BY oid)
     FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't'),
    (SELECT jsonb_agg(jsonb_build_array(
         attrelid, attname, atttypid, attnotnull, attisdropped, attacl, attgenerated) ORDER BY attrelid, attnum)
     FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0
     AND attrelid IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p', 'v') AND relpersistence <> 't')),
    (SELECT jsonb_agg(jsonb_build_array(oid, pg_get_constraintdef(oid)) ORDER BY oid)
     FROM pg_constraint WHERE oid >= 16384),
    (SELECT jsonb_agg(jsonb_build_array(oid, tgenabled, tgfoid) ORDER BY oid) FROM pg_trigger WHERE NOT tgisinternal),
    (SELECT jsonb_agg(t ORDER BY oid) FROM pg_policy t),
    (SELECT jsonb_agg(jsonb_build_array(oid, prosrc, proacl, proowner) ORDER BY oid)
     FROM pg_proc WHERE oid >= 16384),
    (SELECT jsonb_agg(jsonb_build_array(oid, typname) ORDER BY oid)
     FROM pg_type WHERE oid >= 16384 AND typtype IN ('d', 'e')),
    (SELECT jsonb_agg(t ORDER BY oid) FROM pg_default_acl t),
    (SELECT jsonb_agg(t ORDER BY oid) FROM pg_extension t),
    (SELECT jsonb_agg(t ORDER BY oid) FROM pg_event_trigger t),
    (SELECT jsonb_build_array(datacl, datdba, datconnlimit, datallowconn) FROM pg_database
     WHERE datname = current_database()),
    (SELECT jsonb_agg(jsonb_build_array(setrole, setconfig) ORDER BY setrole) FROM pg_db_role_setting
     WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
    (SELECT jsonb_agg(version_num) FROM verifywise_mlflow.alembic_version)
)::text
"""
"""Everything in a database that a test may change, except for rows."""

_CHANGES = """
SELECT concat_ws(' ',
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_namespace),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_class WHERE oid >= 16384),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_attribute WHERE attrelid >= 16384),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_constraint WHERE oid >= 16384),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_trigger),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_policy),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_proc WHERE oid >= 16384),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_type WHERE oid >= 16384),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_default_acl),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_extension),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_event_trigger),
    (SELECT xmin FROM pg_database WHERE datname = current_database()),
    (SELECT (count(*), max(xmin::text::bigint)) FROM pg_db_role_setting
     WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
    (SELECT (count(*), max(xmin::text::bigint)) FROM verifywise_mlflow.alembic_version))
"""
"""A text that changes with each change of the definitions: a row more or less, or a row of a later transaction.

Reading it takes a tenth of the time of reading the definitions, which are compared only if this text has changed.
"""

_EMPTY = """
DO $$
DECLARE
    name text;
    has_rows boolean;
    guard text;
    guards text[];
BEGIN
    SET LOCAL session_replication_role = replica;  -- no triggers, but for those that are always on
    FOR name IN SELECT oid::regclass::text FROM pg_class
        WHERE relnamespace = 'verifywise_mlflow'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO has_rows;
        IF has_rows THEN
            guards := ARRAY(SELECT tgname FROM pg_trigger WHERE tgrelid = name::regclass AND tgenabled = 'A');
            FOREACH guard IN ARRAY guards LOOP
                EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', name, guard);
            END LOOP;
            EXECUTE format('DELETE FROM %s', name);
            FOREACH guard IN ARRAY guards LOOP
                EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', name, guard);
            END LOOP;
        END IF;
    END LOOP;
    -- ALTER SEQUENCE … RESTART would change a definition.
    PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE last_value IS NOT NULL;
END $$
"""


@dataclass(frozen=True, slots=True)
class Description:
    """The schema and the settings of a database without rows."""

    definitions: str
    bytes: int


_new: dict[str, Description] = {}
"""The description of a new database, by server. The random password of a server identifies the server."""
_changes: dict[str, str] = {}
"""A text that changes with the definitions, as it was when they last equaled a new database; by URL."""
_connections: dict[str, psycopg2.extensions.connection] = {}
"""The connections with which this process prepares the lent databases between tests, by URL."""
_idle: dict[str, list[str]] = {}
"""The URLs of this process's emptied databases, by server. Servers without the template have no entry."""


def create_template(postgres: EmbeddedPostgres) -> None:
    """Create the database that all other databases are copied from."""
    upgrade(postgres.create_database(_TEMPLATE))
    adopt_template(postgres)


def adopt_template(postgres: EmbeddedPostgres) -> None:
    """Use the template that another process created on this server. A connection to the template blocks copying."""
    _idle[postgres.password] = []


def create_migrated_database(postgres: EmbeddedPostgres, prefix: str = "test") -> str:
    """Create a database with our schema and return its URL. The database lasts as long as the server."""
    if postgres.password not in _idle:
        create_template(postgres)
    return _create(postgres, f"{prefix}_{uuid.uuid4().hex}", f"TEMPLATE {_TEMPLATE}")


@contextmanager
def migrated_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database with our schema and without rows, until the end of a test."""
    server = postgres.password
    idle = _idle.get(server, [])
    url = idle.pop() if idle else create_migrated_database(postgres)
    if server not in _new:
        _new[server] = _describe(url)
    add_database(url)
    yield url
    if _empty(url, _new[server]):
        _idle[server].append(url)
    else:
        remove_database(url)
        _connections.pop(url).close()
        _drop(postgres, url)


@contextmanager
def empty_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database without our schema, for tests of migrations; it is dropped at the end."""
    url = _create(postgres, f"test_{uuid.uuid4().hex}")
    yield url
    _drop(postgres, url)


def _describe(url: str) -> Description:
    with _maintenance(url).cursor() as cursor:
        cursor.execute(_DEFINITIONS)
        ((definitions,),) = cursor.fetchall()
        cursor.execute("SELECT pg_database_size(current_database())")
        ((size,),) = cursor.fetchall()
        return Description(definitions, size)


def _empty(url: str, new: Description) -> bool:
    """End the test's connections and delete its rows; return False if the database differs from a new one."""
    try:
        with _maintenance(url).cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND NOT pid = ANY (%s::int[])",
                [kept_processes(url)],
            )
            cursor.execute("SELECT pg_database_size(current_database())")
            if cursor.fetchall()[0][0] > new.bytes + _MAX_GROWTH_BYTES:
                return False
            cursor.execute(_CHANGES)
            ((changes,),) = cursor.fetchall()
            if changes != _changes.get(url):
                cursor.execute(_DEFINITIONS)
                if cursor.fetchall()[0][0] != new.definitions:
                    return False
            cursor.execute(_EMPTY)
            cursor.execute(_CHANGES)  # emptying disables triggers, and enables them again
            ((_changes[url],),) = cursor.fetchall()
            return True
    except psycopg2.Error:
        return False


def _maintenance(url: str) -> psycopg2.extensions.connection:
    """Return the connection that this process uses to prepare a lent database between tests."""
    if url not in _connections:
        _connections[url] = psycopg2.connect(url)
        _connections[url].autocommit = True
    return _connections[url]


def _create(postgres: EmbeddedPostgres, name: str, options: str = "") -> str:
    _execute(postgres, f"CREATE DATABASE {name} {options}")
    return postgres.url(name)


def _drop(postgres: EmbeddedPostgres, url: str) -> None:
    _execute(postgres, f"DROP DATABASE {url.rsplit('/', 1)[1]} WITH (FORCE)")


def _execute(postgres: EmbeddedPostgres, statement: str) -> None:
    with closing(psycopg2.connect(postgres.url("postgres"))) as connection:
        connection.autocommit = True  # CREATE DATABASE does not run in a transaction
        with connection.cursor() as cursor:
            cursor.execute(statement)
