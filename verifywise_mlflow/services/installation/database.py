"""Checks the database: its connection, schema, roles, triggers and clock, and locks that are held too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from verifywise_mlflow.persistence import database
from verifywise_mlflow.persistence.append_only import REMEDY as APPEND_ONLY_REMEDY
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.role_exposures import RoleExposure
from verifywise_mlflow.persistence.server_state import (
    RoleRights,
    long_transactions,
    role_rights,
    server_clock,
    server_version,
)
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.installation.clock_skew import check_skew
from verifywise_mlflow.services.installation.finding import Finding

MAX_TRANSACTION_AGE: Final = timedelta(hours=2)
"""The age from which transactions are reported. It is the default of VERIFYWISE_RUN_TIMEOUT_SECONDS: no sync lasts
longer, and each sync holds the tenant's lock to its end."""


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def check_database(
    url: str, *, now: Callable[[], datetime] = utc_now, max_transaction_age: timedelta = MAX_TRANSACTION_AGE
) -> Iterator[Finding]:
    """Yield the findings. If the database or its schema cannot be used, that is the only finding.

    Args:
        url: The database.
        now: Our clock.
        max_transaction_age: Age from which a transaction holds its locks too long.
    """
    try:
        schema = database.check(url)
        with Store(url) as store, store.begin_shared() as connection:
            version, rights = server_version(connection), role_rights(connection)
            before, clock, after = now(), server_clock(connection), now()
            transactions = long_transactions(connection, max_transaction_age)
    except DatabaseError as error:
        yield Finding("database", "problem", str(error))
        return
    yield Finding("database", "ok", f"Postgres {version}; the schema is at revision {schema.revision}")
    yield _check_role(rights)
    yield from _readers(schema.exposures)
    yield from _append_only(schema.protection_problems)
    if not transactions:
        yield Finding("locks", "ok", "no transaction holds a lock on our tables for too long")
    for held in transactions:
        state = "and waits for its client" if held.is_idle else "and runs a statement"
        yield Finding(
            "locks",
            "problem",
            f"process {held.process} of the role {held.role!r} ({held.application or 'unnamed'}) has held locks on our "
            f"tables for {held.seconds / 60:.0f} minutes {state}",
            f"wait for it, or end it: SELECT pg_terminate_backend({held.process})",
        )
    yield check_skew("clock of Postgres", clock, before, after)


def _check_role(rights: RoleRights) -> Finding:
    if rights.missing:
        shown = ", ".join(rights.missing[:5]) + (f" and {more} more" if (more := len(rights.missing) - 5) > 0 else "")
        remedy = f"as the schema's owner, run verifywise-mlflow db grant pipeline {rights.role}"
        return Finding("role", "problem", f"the role {rights.role!r} cannot sync: it lacks {shown}", remedy)
    if rights.bypass:
        return Finding(
            "role",
            "warning",
            f"the role {rights.role!r} {rights.bypass}: row-level security does not apply to it",
            "let syncs use a role that verifywise-mlflow db grant pipeline was run for",
        )
    return Finding("role", "ok", f"the role {rights.role!r} may sync, one tenant at a time")


def _readers(exposures: list[RoleExposure]) -> Iterator[Finding]:
    roles: dict[tuple[str, str, str], list[str]] = {}
    for exposure in exposures:
        roles.setdefault((exposure.ability, exposure.remedy, exposure.needs), []).append(exposure.role)
    for (ability, remedy, needs), names in roles.items():
        detail = f"{', '.join(names)} {ability}"
        yield Finding("readers", "warning", detail, f"to be run by {needs}: {remedy}")


def _append_only(problems: list[str]) -> Iterator[Finding]:
    if not problems:
        yield Finding(
            "append-only tables", "ok", "the triggers and policies that protect evidence and tenants are in place"
        )
    for problem in problems:
        yield Finding("append-only tables", "problem", problem, APPEND_ONLY_REMEDY)
