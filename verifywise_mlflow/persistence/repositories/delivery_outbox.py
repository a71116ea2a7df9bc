"""The outbox of deliveries: the versions whose current state was not yet delivered to a target.

``enqueue`` is called in the transaction that commits a change, so no committed change is missed. ``enqueue`` does
nothing for a tenant without a configured target. A version that its target keeps refusing is parked (dead letter).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import ColumnElement, delete, func, or_, select, text, update

from verifywise_mlflow.persistence.pg_text_codec import escape, unescape
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA, delivery_outbox

Cause = Literal["verdicts", "waivers", "withdrawal", "events", "all versions"]
"""Why a version last became pending. ``events`` means events for a webhook. ``all versions`` means a new target, or a
target with changed settings."""


@dataclass(frozen=True, slots=True)
class PendingVersion:
    """A version that is pending for a target."""

    model_name: str
    version_number: int
    revision: int
    """The revision of the row. If the row has another revision later, the version became pending again in the
    meantime."""
    cause: Cause
    pending_since: datetime
    """Since when the version has been pending without interruption."""
    sync_id: str
    """The sync that changed the version or wrote its badge; empty if a command changed it."""
    tries: int
    """How many tries have failed since the version last became pending or was unparked."""

    @property
    def key(self) -> Key:
        """The version's model name and number."""
        return (self.model_name, self.version_number)


_COLUMNS: Final = "tenant_id, target, model_name, version_number, cause, pending_since, written_at, sync_id"
_SUPERSEDE: Final = """
    ON CONFLICT (tenant_id, target, model_name, version_number) DO UPDATE SET
        cause = excluded.cause, revision = excluded.revision, written_at = excluded.written_at,
        sync_id = excluded.sync_id, tries = 0, not_before = NULL, parked_at = NULL, reason = NULL
"""
_ENQUEUE = text(
    f"""
    INSERT INTO {SCHEMA}.delivery_outbox ({_COLUMNS})
    SELECT :tenant_id, target, model_name, version_number, :cause, CAST(:now AS timestamptz),
           CAST(:now AS timestamptz), :sync_id
    FROM unnest(CAST(:targets AS text[])) AS t (target),
         unnest(CAST(:names AS text[]), CAST(:numbers AS integer[])) AS v (model_name, version_number)
    ORDER BY target, model_name, version_number
    {_SUPERSEDE}
    """  # noqa: S608  # names of our own columns alone
)


def enqueue(
    session: TenantSession,
    targets: Sequence[str],
    keys: Collection[Key],
    *,
    cause: Cause,
    sync_id: str,
    now: datetime,
) -> None:
    """Make versions pending for targets; a version that is already pending gets the new revision and is unparked."""
    if not targets or not keys:
        return
    session.execute(
        _ENQUEUE,
        {
            "tenant_id": escape(session.tenant_id),
            "targets": [*targets],
            "names": [escape(name) for name, _ in keys],
            "numbers": [number for _, number in keys],
            "cause": cause,
            "sync_id": escape(sync_id),
            "now": now,
        },
    )


def enqueue_all(session: TenantSession, target: str, now: datetime) -> int:
    """Make all evaluated versions pending for a target, except deleted versions that the target's ledger lacks.

    Return how many versions became pending.
    """
    return session.execute(
        _ENQUEUE_ALL, {"tenant_id": escape(session.tenant_id), "target": target, "now": now}
    ).rowcount


def all_versions(session: TenantSession, target: str, now: datetime) -> list[PendingVersion]:
    """Return the versions that ``enqueue_all`` would make pending, without writing them; the revisions are 0."""
    rows = session.execute(
        text(_ALL_VERSIONS), {"tenant_id": escape(session.tenant_id), "target": target, "now": now}
    ).mappings()
    return [
        PendingVersion(unescape(row["model_name"]), row["version_number"], 0, "all versions", now, row["sync_id"], 0)
        for row in rows
    ]


_ALL_VERSIONS: Final = f"""
    SELECT b.tenant_id, :target AS target, b.model_name, b.version_number, 'all versions' AS cause,
           CAST(:now AS timestamptz) AS pending_since, CAST(:now AS timestamptz) AS written_at, b.sync_id
    FROM {SCHEMA}.compliance_badges AS b
    JOIN {SCHEMA}.canonical_records AS r USING (tenant_id, model_name, version_number)
    WHERE b.tenant_id = :tenant_id AND (r.deleted_at IS NULL OR EXISTS (
        SELECT FROM {SCHEMA}.delivery_ledger AS l
        WHERE l.tenant_id = b.tenant_id AND l.target = :target AND l.model_name = b.model_name
              AND l.version_number = b.version_number
    ))
    ORDER BY b.model_name, b.version_number
"""  # noqa: S608  # names of our own columns alone
_ENQUEUE_ALL: Final = text(f"INSERT INTO {SCHEMA}.delivery_outbox ({_COLUMNS}) {_ALL_VERSIONS} {_SUPERSEDE}")


def enqueue_gaps(
    session: TenantSession, targets: Sequence[str], rule_ids: Collection[str], *, sync_id: str, now: datetime
) -> None:
    """Make versions pending that have an open gap of a rule, since a waiver of the rule was granted or has ended."""
    if not targets or not rule_ids:
        return
    rows = session.execute(
        _OPEN_GAPS, {"tenant_id": escape(session.tenant_id), "rules": [*rule_ids], "verdicts": [*OPEN_VERDICTS]}
    )
    keys = [(unescape(name), number) for name, number in rows]
    enqueue(session, targets, keys, cause="waivers", sync_id=sync_id, now=now)


_OPEN_GAPS: Final = text(
    f"""
    SELECT DISTINCT model_name, version_number FROM {SCHEMA}.compliance_verdicts
    WHERE tenant_id = :tenant_id AND rule_id = ANY(CAST(:rules AS text[]))
          AND verdict = ANY(CAST(:verdicts AS text[]))
    """  # noqa: S608  # names of our own columns alone
)


def due(session: TenantSession, target: str, now: datetime, limit: int, after: int = 0) -> list[PendingVersion]:
    """Return the next versions to deliver after a revision, by revision; parked and postponed versions are left out."""
    outbox = delivery_outbox.c
    columns = (outbox.model_name, outbox.version_number, outbox.revision, outbox.cause)
    rows = session.execute(
        select(*columns, outbox.pending_since, outbox.sync_id, outbox.tries)
        .where(
            *_of_target(session, target),
            outbox.revision > after,
            outbox.parked_at.is_(None),
            or_(outbox.not_before.is_(None), outbox.not_before <= now),
        )
        .order_by(outbox.revision)
        .limit(limit)
    )
    return [PendingVersion(*row) for row in rows]


def is_any_due(session: TenantSession, target: str, now: datetime) -> bool:
    """Return whether there is anything to deliver to a target now."""
    return bool(due(session, target, now, 1))


def lock(session: TenantSession, target: str, versions: Collection[PendingVersion] | None = None) -> None:
    """Lock rows in the order in which ``enqueue`` writes them. Otherwise a sync could be the victim of a deadlock.

    Args:
        session: The transaction, which has not changed the outbox yet.
        target: The target.
        versions: The versions; None for all.
    """
    outbox = delivery_outbox.c
    conditions = list(_of_target(session, target))
    if versions is not None:
        conditions.append(outbox.revision.in_([version.revision for version in versions]))
    session.execute(
        select(outbox.revision).where(*conditions).order_by(outbox.model_name, outbox.version_number).with_for_update()
    )


def remove(session: TenantSession, target: str, versions: Collection[PendingVersion]) -> None:
    """Remove versions that were delivered. A version that changed meanwhile has another revision and stays pending."""
    if versions:
        session.execute(
            delete(delivery_outbox).where(
                *_of_target(session, target), delivery_outbox.c.revision.in_([version.revision for version in versions])
            )
        )


def defer(
    session: TenantSession, target: str, version: PendingVersion, *, until: datetime | None, reason: str | None
) -> None:
    """Keep a version pending without counting a try."""
    _update(session, target, version, not_before=until, reason=reason)


def record_failure(
    session: TenantSession, target: str, version: PendingVersion, *, until: datetime, reason: str | None
) -> None:
    """Count a try that failed, and set the time of the next try."""
    _update(session, target, version, tries=version.tries + 1, not_before=until, reason=reason)


def park(session: TenantSession, target: str, version: PendingVersion, *, at: datetime, reason: str | None) -> None:
    """Stop trying to deliver a version until it changes or a person requests it."""
    _update(session, target, version, tries=version.tries + 1, parked_at=at, not_before=None, reason=reason)


def unpark(session: TenantSession, target: str) -> int:
    """Make all parked and postponed versions due; return how many versions these are."""
    outbox = delivery_outbox.c
    is_held = or_(outbox.parked_at.is_not(None), outbox.not_before.is_not(None))
    values = {"tries": 0, "parked_at": None, "not_before": None, "reason": None}
    lock(session, target)
    return session.execute(update(delivery_outbox).where(*_of_target(session, target), is_held).values(values)).rowcount


@dataclass(frozen=True, slots=True)
class OutboxSummary:
    """What is pending for a target."""

    pending: int
    """The number of pending versions. Postponed versions count, but parked versions do not."""
    parked: int
    oldest: datetime | None
    """Since when the oldest version that is not parked has been pending."""


def summary(session: TenantSession, target: str) -> OutboxSummary:
    """Return how many versions are pending and parked for a target."""
    outbox = delivery_outbox.c
    is_parked = outbox.parked_at.is_not(None)
    row = session.execute(
        select(
            func.count().filter(~is_parked),
            func.count().filter(is_parked),
            func.min(outbox.pending_since).filter(~is_parked),
        ).where(*_of_target(session, target))
    ).one()
    return OutboxSummary(*row)


@dataclass(frozen=True, slots=True)
class HeldVersion:
    """A version that is parked, or postponed with a reason."""

    model_name: str
    version_number: int
    tries: int
    reason: str
    not_before: datetime | None
    parked_at: datetime | None


def held_versions(session: TenantSession, target: str, limit: int) -> list[HeldVersion]:
    """Return the versions with a reason why they are still pending, parked versions first."""
    outbox = delivery_outbox.c
    columns = (outbox.model_name, outbox.version_number, outbox.tries, outbox.reason, outbox.not_before)
    rows = session.execute(
        select(*columns, outbox.parked_at)
        .where(*_of_target(session, target), outbox.reason.is_not(None))
        .order_by(outbox.parked_at.is_(None), outbox.pending_since, outbox.model_name, outbox.version_number)
        .limit(limit)
    )
    return [HeldVersion(*row) for row in rows]


def _of_target(session: TenantSession, target: str) -> tuple[ColumnElement[bool], ...]:
    return delivery_outbox.c.tenant_id == session.tenant_id, delivery_outbox.c.target == target


def _update(session: TenantSession, target: str, version: PendingVersion, **values: object) -> None:
    session.execute(
        update(delivery_outbox)
        .where(*_of_target(session, target), delivery_outbox.c.revision == version.revision)
        .values(values)
    )
