"""Database errors as sentences, and whether each is transient.

A function that takes a session or a connection lets the driver's errors pass. The code that opens the transaction
translates them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_TRANSIENT_CODES = re.compile(r"08|40|53|57|58|25P0[34]|55006|55P03")
"""Postgres' error codes for conditions that may clear by themselves, such as lost connections, deadlocks, a full disk,
a shutdown, time-outs, and locks that other sessions hold."""

LOCK_NOT_AVAILABLE = "55P03"
"""Postgres' error code for a lock that was not granted within ``lock_timeout``."""

_ACCESS_REFUSED = re.compile(
    r"authentication failed|no pg_hba\.conf entry|does not exist|permission denied for database|not permitted to log in"
)
"""Messages with which a server refuses a login. The driver has no error code for a refused login. If the server's
messages are in another language, the error counts as transient: one more try costs little."""


class DatabaseError(Exception):
    """The database cannot be used, or refuses what was requested. The message holds no password and no row."""

    retryable = False
    """Whether the same call may succeed later without anybody's action."""


class OutdatedSchemaError(DatabaseError):
    """The schema is older than this code, or missing: it was not yet migrated to this release."""


class NewerSchemaError(DatabaseError):
    """The schema is at a revision that this code does not know: a newer release migrated it."""


class LockTimeoutError(DatabaseError):
    """Another session held a lock for longer than a statement may wait. The transaction is rolled back."""

    retryable = True

    def __init__(self, lock: str, holders: str) -> None:
        """Compose the message from the name of the lock and a clause that says who may hold it."""
        super().__init__(
            f"{lock} was not granted in time: {holders}. Wait for it and try again, or look for the oldest transaction "
            "(the column xact_start of pg_stat_activity) and end it with pg_terminate_backend. The transaction changed "
            "nothing"
        )


class DatabaseFailedError(DatabaseError):
    """The connection was lost, or the database could not run a statement, for example because its disk is full."""

    summary = "the database failed"
    remedy = "Committed data stays, and the next sync resumes from there"

    def __init__(self, error: DBAPIError) -> None:
        """Compose the message from the driver's message, without the statement, its values and the password."""
        message = _message(error)
        remedy = self.remedy
        if _ACCESS_REFUSED.search(message):
            remedy = "Correct VERIFYWISE_DATABASE_URL: the server refuses a login with it"
        super().__init__(f"{self.summary}: {message}{'' if message.endswith('?') else '.'} {remedy}")
        self.retryable = _is_transient(error)


class DatabaseUnreachableError(DatabaseFailedError):
    """No connection to the database could be opened."""

    summary = "the database cannot be reached"
    remedy = "Check VERIFYWISE_DATABASE_URL, and whether the server runs"

    def __init__(self, error: DBAPIError) -> None:
        """Compose the message from the driver's message. A refused login is not retryable."""
        super().__init__(error)
        self.retryable = not _ACCESS_REFUSED.search(_message(error))


@contextmanager
def translate_errors(role: str | None) -> Iterator[None]:
    """Raise a driver's error as one of ours. Errors of the program pass through.

    Args:
        role: the database role in use.

    Raises:
        LockTimeoutError: another session held a lock for too long.
        DatabaseFailedError: the connection was lost, or the database could not run a statement.
        DatabaseError: the role lacks a privilege, or the database is read-only.
        DBAPIError: any other error of the driver, unchanged.
    """
    try:
        yield
    except DBAPIError as error:
        code = error_code(error)
        if code == LOCK_NOT_AVAILABLE:
            raise LockTimeoutError(
                f"a lock in the database ({_message(error)})",
                "another command of verifywise-mlflow or an administrator's session holds it",
            ) from error
        if code == "42501":
            raise DatabaseError(
                f"the database role {role!r} may not do this: {_message(error)}. The schema's owner grants access "
                "with verifywise-mlflow db grant"
            ) from error
        if code == "25006":
            raise DatabaseError(
                f"the database is read-only: {_message(error)}. Set the URL to that of the primary server"
            ) from error
        if _is_transient(error) or isinstance(error, OperationalError):
            raise DatabaseFailedError(error) from error
        raise


def _is_transient(error: DBAPIError) -> bool:
    code = error_code(error)
    if code is None:  # the connection itself is lost
        return isinstance(error, OperationalError | InterfaceError)
    return _TRANSIENT_CODES.match(code) is not None


def error_code(error: DBAPIError) -> str | None:
    """Return Postgres' code of an error; None if the driver raised it."""
    code = getattr(error.orig, "pgcode", None)
    return str(code) if code else None


def _message(error: DBAPIError) -> str:
    # Only the primary message: the details may quote a row.
    diagnostics = getattr(error.orig, "diag", None)
    message = getattr(diagnostics, "message_primary", None) or str(error.orig)
    return " ".join(str(message).split()).rstrip(".") or "the connection was lost"
