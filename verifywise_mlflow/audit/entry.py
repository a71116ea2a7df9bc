"""One entry of the audit trail.

To add a kind of entry, name the kind in ``EntryKind``, and also in ``KINDS_WITH_ACTOR`` if a person causes such
entries. Append entries with ``persistence/repositories/audit_log.py``. Describe the kind in
``docs/reference/audit-trail.md``.

To add a field, give it a default, since stored entries lack it. Fill it in ``Sync.make_entry`` (``pipeline/sync.py``).
Add it to the view ``audit_entries`` with a migration. ``export.py`` needs no change: it writes the text that was
hashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol

from verifywise_mlflow.audit.actor import Actor
from verifywise_mlflow.common.abbreviation import abbreviate
from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.common.untrusted_text import truncate

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
    "ai systems changed",
    "waiver granted",
    "waiver withdrawn",
    "waiver expired",
    "tenant activated",
    "tenant deactivated",
    "tenant erased",
    "access granted",
    "access revoked",
    "signing key changed",
    "states accepted",
    "delivery",
]
KINDS_WITH_ACTOR: Final[frozenset[EntryKind]] = frozenset(
    (
        "sync started",
        "removals accepted",
        "policy changed",
        "mapping changed",
        "tenant changed",
        "ai systems changed",
        "waiver granted",
        "waiver withdrawn",
        "tenant activated",
        "tenant deactivated",
        "tenant erased",
        "delivery",
        "access granted",
        "access revoked",
        "signing key changed",
        "states accepted",
    )
)
"""The kinds of entries that name an actor, since a person can cause them. All other entries follow from the server or
the calendar. For them, the entry about the start of the sync has the actor."""
Outcome = Literal["complete", "incomplete", "failed", "noted"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One event in a tenant's audit trail. Credentials appear by their identity only."""

    tenant_id: str
    occurred_at: datetime
    kind: EntryKind
    sync_id: str
    source_uri: str
    """The tracking server that was read; for a delivery, the system that it went to; empty if neither is known."""
    outcome: Outcome
    code_version: str
    dagster_run_id: str | None = None
    credential_identity: str | None = None
    server_version: str | None = None
    object_kind: str | None = None
    """The kind of object, such as ``registered model``, ``model version``, ``artifacts``, ``waiver``, ``database role``
    or ``states``."""
    object_name: str | None = None
    reason: str | None = None
    counts: Mapping[str, object] = field(default_factory=dict)
    """Numbers and other details, which depend on the kind. The entry about the end of a sync has, for each stage, the
    numbers of objects read, changed, incomplete and removed."""
    actor: Actor | None = None
    """Who caused an entry of ``KINDS_WITH_ACTOR``. An entry that has no actor when it is appended gets the actor of
    this process."""

    def __post_init__(self) -> None:
        """Shorten texts by people and servers: an entry has a maximum length, and the trail outlives an erasure."""
        if self.object_name is not None:
            object.__setattr__(self, "object_name", abbreviate(self.object_name))
        for name, max_bytes in _MAX_TEXT_BYTES.items():
            text = getattr(self, name)
            if text is not None:
                object.__setattr__(self, name, shorten_to_bytes(text, max_bytes))
        object.__setattr__(self, "counts", _shorten_counts(self.counts))


_MAX_TEXT_BYTES: Final[Mapping[str, int]] = {
    "reason": 12 * 1024,
    "object_name": 4 * 1024,  # 300 characters after abbreviation, each escaped
    "source_uri": 4 * 1024,
    "server_version": 256,
    "credential_identity": 1024,
}
"""The maximum bytes of each text in canonical JSON. Longer texts are cut, so that an entry stays below
``chain.MAX_ENTRY_BYTES``."""
STATES: Final = "states"
"""The key in ``counts`` under which an entry commits the log of states. Its value is never shortened."""
_MAX_COUNTS_BYTES: Final = 16 * 1024
_MAX_BYTES_PER_CHARACTER: Final = 12
"""Canonical JSON escapes a character outside of the basic plane as two UTF-16 code units."""


def shorten_to_bytes(text: str, max_bytes: int) -> str:
    """Return a text that takes at most ``max_bytes`` (24 or more) in canonical JSON, with an ellipsis if it is cut."""
    if _MAX_BYTES_PER_CHARACTER * len(text) <= max_bytes or len(canonical_json(text[:max_bytes])) <= max_bytes:
        shortened = truncate(text, max_bytes - _MAX_BYTES_PER_CHARACTER)
        if len(canonical_json(shortened)) <= max_bytes:
            return shortened
    return truncate(text, max_bytes // _MAX_BYTES_PER_CHARACTER - 2)


def _shorten_counts(counts: Mapping[str, object]) -> Mapping[str, object]:
    """Return the counts. If they are too long, return the commitment, numbers and, with enough space, other names."""
    if len(canonical_json(dict(counts))) <= _MAX_COUNTS_BYTES:
        return counts
    for keeps_names in (True, False):
        shortened = {
            name: value if name == STATES else _numbers(value, keeps_names=keeps_names)
            for name, value in counts.items()
        }
        if len(canonical_json(shortened)) <= _MAX_COUNTS_BYTES:
            return {**shortened, "shortened": True}
    return {"shortened": True, **{name: value for name, value in counts.items() if name == STATES}}


def _numbers(value: object, *, keeps_names: bool) -> object:
    if isinstance(value, Mapping):
        return {
            name: number if isinstance(number, int | float) else None
            for name, number in value.items()
            if keeps_names or isinstance(number, int | float)
        }
    return value if isinstance(value, int | float) else None


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
