"""Notifications of Postgres. Waiting for a notification with LISTEN costs neither processor time nor queries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from select import POLLIN, poll

import psycopg2
from sqlalchemy import Connection, Engine, func, select

from verifywise_mlflow.persistence.errors import translate_errors


class Listener:
    """A session that listens to a channel.

    A notification may never arrive: a transaction pooler forwards no notifications, and a session may be lost. So a
    caller that waits must also poll at intervals.
    """

    def __init__(self, session: psycopg2.extensions.connection) -> None:
        """Take over a session that listens."""
        self._session: psycopg2.extensions.connection | None = session

    @property
    def is_lost(self) -> bool:
        """Whether ``wait`` has found that the session has ended: no notification will come any more."""
        return self._session is None

    def wait(self, seconds: float) -> bool:
        """Wait for a notification, at most this long; return whether one has arrived.

        The wait also ends early, with False, when the session ends.
        """
        if self._session is None:
            time.sleep(seconds)
            return False
        readable = poll()
        readable.register(self._session, POLLIN)
        if not readable.poll(1_000 * seconds):
            return False
        try:
            self._session.poll()
        except psycopg2.Error:
            self._session = None
            return False
        has_arrived = bool(self._session.notifies)
        self._session.notifies.clear()
        return has_arrived


def notify(connection: Connection, channel: str) -> None:
    """Notify the sessions that listen to a channel, as soon as the transaction commits.

    There is no payload: every role that can connect may listen, so a payload could reveal the names of tenants.
    """
    connection.execute(select(func.pg_notify(channel, "")))


@contextmanager
def listen(engine: Engine, channel: str) -> Iterator[Listener]:
    """Listen to a channel while the block runs.

    Raises:
        DatabaseError: the database cannot be used.
    """
    with ExitStack() as stack:
        with translate_errors(engine.url.username):
            connection = stack.enter_context(engine.connect())
            stack.callback(connection.invalidate)  # a pooled connection would continue to listen
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(f"LISTEN {channel}")
        session = connection.connection.driver_connection
        assert isinstance(session, psycopg2.extensions.connection)
        yield Listener(session)
