"""Keeps the connections of a closed store for the next store on the same database.

For a new connection, Postgres starts a process, and the first queries of the process read the catalogs. This takes a
fifth of the time of many tests. Connections are kept only if their database is lent to one test after the other, and
only if their role is the superuser: no grant, limit or password of a test applies to the superuser. A kept connection
has no transaction, lock or setting left from its former use.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable
from contextlib import suppress
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy import Engine, event, make_url

_databases: set[str] = set()
"""The databases with warm connections: their names are unique."""
_idle: defaultdict[Hashable, list[WarmConnection]] = defaultdict(list)
"""The kept connections, by the arguments that opened them."""
os.register_at_fork(after_in_child=_idle.clear)  # two processes must not use one connection


class WarmConnection(psycopg2.extensions.connection):  # type: ignore[misc]  # psycopg2 has no types
    """A connection that ``close`` keeps open, unless it is broken or belongs to another process."""

    opened_with: tuple[tuple[str, Hashable], ...] = ()
    opened_by = 0

    def close(self) -> None:
        """Keep the connection for the next store, or close it."""
        if self.opened_by == os.getpid() and self._forget():
            _idle[self.opened_with].append(self)
        else:
            super().close()

    def really_close(self) -> None:
        """Close the connection."""
        super().close()

    def is_alive(self) -> bool:
        """Return whether the server still serves the connection."""
        return self._execute("SELECT 1")

    def _forget(self) -> bool:
        """End the transaction and reset the session's locks and settings; return False if the session is lost."""
        if self.closed or self.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_UNKNOWN:
            return False
        with suppress(psycopg2.Error):
            self.reset()
            self.notices.clear()
            return self._execute("DISCARD ALL")
        return False

    def _execute(self, statement: str) -> bool:
        with suppress(psycopg2.Error):
            self.autocommit = True
            with self.cursor() as cursor:
                cursor.execute(statement)
            self.autocommit = False
            return True
        return False


def keep_connections(engine: Engine) -> None:
    """If the engine's database is lent to tests, make the engine use kept connections, and keep its own connections."""
    event.listen(engine, "do_connect", _connect)


def add_database(url: str) -> None:
    """Keep connections to a database from now on."""
    _databases.add(_name(url))


def remove_database(url: str) -> None:
    """Close the kept connections to a database."""
    _databases.discard(_name(url))
    for connection in _kept(url):
        connection.really_close()
    for arguments in [arguments for arguments in _idle if ("dbname", _name(url)) in arguments]:  # type: ignore[operator]
        del _idle[arguments]


def kept_processes(url: str) -> list[int]:
    """Return the processes of Postgres that serve kept connections to a database."""
    return [connection.info.backend_pid for connection in _kept(url)]


def _kept(url: str) -> list[WarmConnection]:
    name = ("dbname", _name(url))
    return [kept for connections in _idle.values() for kept in connections if name in kept.opened_with]


def _name(url: str) -> str:
    return make_url(url).database or ""


def _connect(_dialect: object, _record: object, _positional: object, arguments: dict[str, Any]) -> object:
    if arguments.get("dbname") not in _databases or arguments.get("user") != "postgres":
        return None
    key = tuple(sorted(arguments.items()))
    with suppress(IndexError):
        while True:
            kept = _idle[key].pop()
            if kept.is_alive():
                return kept
            kept.really_close()
    connection: WarmConnection = psycopg2.connect(**arguments, connection_factory=WarmConnection)
    connection.opened_with, connection.opened_by = key, os.getpid()
    return connection
