"""One entry of the audit trail.

To add a field: give it a default, since stored entries lack it; fill it in ``Sync.make_entry`` (``pipeline/sync.py``); add
it to the view ``audit_entries`` with a migration. ``export.py`` needs no change: it writes the text that was hashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

EntryKind = Literal[
    "sync started",
    "sync ended",
    "object unreadable",
    "lifecycle event",
    "removals accepted",
    "integrity event",
    "policy changed",
    "mapping changed",
    "tenant changed",
    "waiver granted",
    "waiver withdrawn",
    "waiver expired",
    "tenant activated",
    "tenant deactivated",
    "tenant erased",
]
Outcome = Literal["complete", "incomplete", "failed", "noted"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One event in a tenant's audit trail. Contains no secret: credentials appear by their identity only."""

    tenant_id: str
    occurred_at: datetime
    kind: EntryKind
    sync_id: str
    source_uri: str
    """The tracking server that was read."""
    outcome: Outcome
    code_version: str
    dagster_run_id: str | None = None
    credential_identity: str | None = None
    server_version: str | None = None
    object_kind: str | None = None
    """``registered model``, ``model version``, ``training run``, ``logged model``, ``artifacts``, ``waiver``."""
    object_name: str | None = None
    reason: str | None = None
    counts: Mapping[str, object] = field(default_factory=dict)
    """Per stage, the numbers of objects read, changed, incomplete and removed; and of requests."""


class EntryFactory(Protocol):
    """Creates entries of one sync. Tenant, sync, source and credential are already bound."""

    def __call__(
        self,
        kind: EntryKind,
        outcome: Outcome,
        *,
        reason: str | None,
        object_kind: str | None = None,
        object_name: str | None = None,
        counts: Mapping[str, object] | None = None,
    ) -> AuditEntry:
        """Return an entry for one event. ``reason`` is a sentence."""
