"""Why the database cannot be used, in sentences; and what of it passes by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_PASSING = re.compile(r"08|40|53|57|58|25P0[34]|55006|55P03")
"""Postgres' error codes for what may be well again later: connections lost, deadlocks, a full disk, a shutdown,
time-outs of transactions, locks that others hold. What a program did wrong, or what is too large, is none of them."""

_NOT_LET_IN = re.compile(
    r"authentication failed|no pg_hba\.conf entry|does not exist|permission denied for database|not permitted to log in"
)
"""What a server says to whom it does not let in. The driver gives no code for it, and a server that speaks another
language counts as one that may be well again: trying once more costs little."""


class DatabaseError(Exception):
    """The database cannot be used. The message says what to do; it holds no password and no row."""

    retryable = False
    """Whether trying again later may help without anybody's doing."""


class DatabaseFailedError(DatabaseError):
    """The database was lost, or could not do what it was asked for: its disk is full, it is being shut down."""

    what = "the database failed"
    then = "What was kept until then stays, and the next sync takes up from there"

    def __init__(self, error: DBAPIError) -> None:
        """Take what the driver said, without the statement and its values; it never says the password."""
        said = _said(error)
        then = self.then
        if _NOT_LET_IN.search(said):
            then = "See VERIFYWISE_DATABASE_URL: nobody is let in with it"
        super().__init__(f"{self.what}: {said}{'' if said.endswith('?') else '.'} {then}")
        self.retryable = _passes(error)


class DatabaseUnreachableError(DatabaseFailedError):
    """There was no connection to the database to begin with."""

    what = "the database cannot be reached"
    then = "See VERIFYWISE_DATABASE_URL, and whether the server runs"

    def __init__(self, error: DBAPIError) -> None:
        """Take what the driver said; who is not let in will not be later."""
        super().__init__(error)
        self.retryable = not _NOT_LET_IN.search(_said(error))


@contextmanager
def failures_as_sentences(role: str | None) -> Iterator[None]:
    """Raise a driver's error as one of ours, but for mistakes of the program, which have to be seen.

    Args:
        role: the database role that was used.

    Raises:
        DatabaseFailedError: the database was lost, or could not do what it was asked for.
        DatabaseError: the role may not do it, or the database takes no writes.
    """
    try:
        yield
    except DBAPIError as error:
        code = _code(error)
        if code == "42501":
            raise DatabaseError(
                f"the database role {role!r} may not do this: {_said(error)}. The schema's owner lets a role in with "
                "verifywise-mlflow db grant"
            ) from error
        if code == "25006":
            raise DatabaseError(
                f"the database takes no writes: {_said(error)}. The URL has to be that of the primary server"
            ) from error
        if _passes(error) or isinstance(error, OperationalError):
            raise DatabaseFailedError(error) from error
        raise


def _passes(error: DBAPIError) -> bool:
    code = _code(error)
    if code is None:  # the connection itself is gone
        return isinstance(error, OperationalError | InterfaceError)
    return _PASSING.match(code) is not None


def _code(error: DBAPIError) -> str | None:
    code = getattr(error.orig, "pgcode", None)
    return str(code) if code else None


def _said(error: DBAPIError) -> str:
    # The first line of it alone: the details may quote a row.
    diagnostics = getattr(error.orig, "diag", None)
    said = getattr(diagnostics, "message_primary", None) or str(error.orig)
    return " ".join(str(said).split()).rstrip(".") or "the connection was lost"
