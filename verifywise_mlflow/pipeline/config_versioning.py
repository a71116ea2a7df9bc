"""Records a config version when a tenant's settings, mapping, policies or declared AI systems change.

Each config version gets an audit entry.

``stage_configurations.py`` has the configurations that stages record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final, Protocol

from verifywise_mlflow.audit.entry import AuditEntry, EntryKind, Outcome
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import audit_log, config_versions
from verifywise_mlflow.persistence.repositories.config_versions import ConfigKind
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.tenants.tenant import Tenant

_ENTRY_KINDS: Final[Mapping[ConfigKind, EntryKind]] = {
    "mapping": "mapping changed",
    "policy": "policy changed",
    "tenant": "tenant changed",
    "ai systems": "ai systems changed",
}
_LABELS: Final[Mapping[ConfigKind, str]] = {"ai systems": "declaration of AI systems"}
Document = Mapping[str, object]

_MAX_RECORDED_SETTINGS = 100
"""The maximum number of changed settings that an audit entry names. The table of config versions has each document in
full."""
_MAX_RECORDED_VALUE_CHARS = 300
"""The maximum number of characters of a setting as JSON. For a longer setting, the entry has only the name."""


class ConfigEntryFactory(Protocol):
    """Makes an entry of the audit trail about a changed configuration."""

    def __call__(
        self, kind: EntryKind, outcome: Outcome, *, reason: str | None, counts: Mapping[str, object] | None = None
    ) -> AuditEntry:
        """Return the entry. ``reason`` says in a sentence what changed."""


def record_tenant_version(
    session: TenantSession, tenant: Tenant, sync_id: str, now: datetime, make_entry: ConfigEntryFactory
) -> list[AuditEntry]:
    """Record that the tenant's settings are in force from now on; return an audit entry if the settings changed.

    The settings contain references to secrets, never secrets. The mapping is left out, because it has its own versions.
    """
    document = tenant.model_dump(mode="json", exclude={"mapping"})
    return _record_version(session, "tenant", fingerprint(document), document, sync_id, now, make_entry)


def record_in_stage(context: StageContext, kind: ConfigKind, digest: str, document: Callable[[], Document]) -> None:
    """Record a version if its digest differs from the digest of the version in force. Only then call ``document``."""
    with context.begin() as session:
        if config_versions.is_in_force(session, kind, digest):
            return
        entries = _record_version(session, kind, digest, document(), context.sync_id, context.now, context.make_entry)
        audit_log.append(session, entries)


def _record_version(
    session: TenantSession,
    kind: ConfigKind,
    digest: str,
    document: Document,
    sync_id: str,
    now: datetime,
    make_entry: ConfigEntryFactory,
) -> list[AuditEntry]:
    adoption = config_versions.record_config_version(session, kind, digest, document, sync_id, now)
    if adoption is None:
        return []
    previous, label = adoption.previous, _LABELS.get(kind, kind)
    counts: dict[str, object] = {"digest": digest, "previous_digest": previous.digest if previous else None}
    if previous is None:
        return [make_entry(_ENTRY_KINDS[kind], "noted", reason=f"the first recorded {label}", counts=counts)]
    changes = changed_settings(previous.document, document)
    counts["changed"] = dict(list(changes.items())[:_MAX_RECORDED_SETTINGS])
    names = list(changes)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    reason = f"the {label} changed: {', '.join(names[:5])}{more}"
    if not changes:  # for example, this release has a new setting, which is not set
        reason = f"this release stores the {label} in another form; no setting differs"
    return [make_entry(_ENTRY_KINDS[kind], "noted", reason=reason, counts=counts)]


def changed_settings(previous: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """Return the settings that differ between two documents, by dotted name, as ``{previous, new}``.

    If a document does not have a setting, the value for this document is null. A setting that is too long in either
    document maps to null.
    """
    before, after = dict(_settings("", previous)), dict(_settings("", new))
    names = [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]
    return {name: _difference(before.get(name), after.get(name)) for name in names}


def _difference(previous: object, new: object) -> dict[str, object] | None:
    if max(len(json.dumps(value)) for value in (previous, new)) > _MAX_RECORDED_VALUE_CHARS:
        return None
    return {"previous": previous, "new": new}


def _settings(prefix: str, document: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from _settings(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value
