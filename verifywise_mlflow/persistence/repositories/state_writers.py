"""Which syncs wrote the states that are not committed yet, and which states no sync and no command can have written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlalchemy import text

from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.repositories.state_log import Writes
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA

_KINDS_OF_COMMANDS: Final = ("waiver granted", "waiver ended", "configuration")
"""Kinds of states that commands write outside of a sync, and commit in the same transaction. The configuration is that
of a tenant whose settings in ``tenants.yaml`` changed: see ``tenant_activation``."""
_OPEN_SYNCS = text(
    f"""
    SELECT DISTINCT entry::jsonb ->> 'sync_id' FROM {SCHEMA}.audit_trail AS started
    WHERE tenant_id = :tenant_id AND kind = 'sync started' AND entry::jsonb ->> 'sync_id' = ANY (:ids)
      AND NOT EXISTS (
          SELECT FROM {SCHEMA}.audit_trail AS ended
          WHERE ended.tenant_id = :tenant_id AND ended.kind = 'sync ended' AND ended.sequence > started.sequence
            AND ended.entry::jsonb ->> 'sync_id' = started.entry::jsonb ->> 'sync_id'
      )
      AND (
          (entry::jsonb ->> 'occurred_at')::timestamptz > now() - interval '1 day'
          OR NOT EXISTS (
              SELECT FROM {SCHEMA}.audit_trail AS later
              JOIN {SCHEMA}.audit_trail AS over USING (tenant_id)
              WHERE later.tenant_id = :tenant_id AND later.kind = 'sync started' AND later.sequence > started.sequence
                AND over.kind = 'sync ended' AND over.sequence > later.sequence
                AND over.entry::jsonb ->> 'sync_id' = later.entry::jsonb ->> 'sync_id'
          )
      )
    """  # noqa: S608  # the schema's name is a constant
)


_OF_FORMER_COMMANDS = text(
    f"""
    SELECT kind, min(position), max(position), count(*) FROM {SCHEMA}.state_log
    WHERE tenant_id = :tenant_id AND position >= :start AND sync_id = '' AND kind = ANY (:kinds)
      AND xmin <> pg_current_xact_id()::xid
    GROUP BY kind ORDER BY 2
    """  # noqa: S608  # the schema's name is a constant
)
"""A command commits its own states in the same transaction, so uncommitted states of another transaction cannot be from
a command."""


class Writers(NamedTuple):
    """The writers of states that are not committed yet."""

    others: Sequence[str]
    """The other syncs that wrote states. They are interrupted or under way."""
    refused: Sequence[Writes]
    """The states that no sync under way, no interrupted sync and no command can have written."""


def writers_since(session: TenantSession, start: int, sync_id: str = "", *, is_command: bool = False) -> Writers:
    """Return who wrote the states from a position on.

    Args:
        session: The tenant's transaction.
        start: The position.
        sync_id: The sync that commits them.
        is_command: Whether a command that has written some of the states in this transaction commits them.
    """
    writes = state_log.writes(session, start)
    others = {write.sync_id for write in writes} - {"", sync_id}
    known = _open_syncs(session, others) if others else set()
    kinds = _KINDS_OF_COMMANDS if is_command else ()
    refused = [
        write for write in writes if (write.sync_id in others - known if write.sync_id else write.kind not in kinds)
    ]
    if is_command:
        parameters = {"tenant_id": session.tenant_id, "start": start, "kinds": [*_KINDS_OF_COMMANDS]}
        refused += [Writes("", *row) for row in session.execute(_OF_FORMER_COMMANDS, parameters)]
    return Writers(sorted(known), refused)


def problem_with(write: Writes) -> str:
    """Return why states are refused, as a clause."""
    if write.sync_id:
        return f"the log has states of the sync {write.sync_id!r}, which is not under way"
    return f"the log has a state of the kind {write.kind!r} that no command has committed"


def _open_syncs(session: TenantSession, sync_ids: Collection[str]) -> set[str]:
    """Return the given syncs that are under way or interrupted: the trail has their start but not their end.

    A sync that was killed counts as interrupted until a later sync has ended, and for a day at least. Without this
    limit, states could be added in the killed sync's name at any time. States of a later sync do not show that an
    earlier sync has ended. A sync holds no lock between two stages, so its genuine states may follow states of a later
    sync.
    """
    return set(session.scalars(_OPEN_SYNCS, {"tenant_id": session.tenant_id, "ids": [*sync_ids]}))
