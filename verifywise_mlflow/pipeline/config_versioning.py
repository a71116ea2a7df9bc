"""Tells the audit trail when a tenant is read by another mapping, judged by another policy, or described anew."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Protocol

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind, Outcome
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.normalizer.normalize import NORMALIZER_REVISION
from verifywise_mlflow.persistence.repositories import audit_log, config_versions
from verifywise_mlflow.persistence.repositories.config_versions import AdoptionKind
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.tenants.tenant import Tenant

_ENTRY_KINDS: Final[Mapping[AdoptionKind, EntryKind]] = {
    "mapping": "mapping changed",
    "policy": "policy changed",
    "tenant": "tenant changed",
}
_MAX_RECORDED_SETTINGS = 100
"""Of those that changed; the documents themselves are kept in full, in ``adoptions``."""
_MAX_RECORDED_VALUE_CHARS = 300
"""Characters of JSON. A longer setting is told by its name alone."""


class ConfigEntryFactory(Protocol):
    """Makes an entry of the audit trail."""

    def __call__(
        self, kind: EntryKind, outcome: Outcome, *, reason: str | None, counts: Mapping[str, object] | None = None
    ) -> AuditEntry:
        """Return what happened, and why or how, in a sentence."""


def record_mapping_version(context: StageContext, mapping: TagMapping, digest: str) -> None:
    """Note the mapping that records are built with from now on. The digest stands beside each record's inputs."""
    document = {
        "code_version": __version__,
        "revision": NORMALIZER_REVISION,
        "mapping": mapping.model_dump(mode="json"),
    }
    _record_in_stage(context, "mapping", digest, document)


def record_policy_version(context: StageContext, rules: RuleSet, digest: str) -> None:
    """Note the policies that records are judged by from now on. The digest stands beside each badge."""
    policies = {}
    for policy in rules.policies:
        said = policy.model_dump(mode="json", exclude={"rules": {"__all__": {"examples"}}})
        policies[policy.id] = said | {"rules": {rule["id"]: rule for rule in said["rules"]}}
    document = {"code_version": __version__, "policies": policies, "thresholds": dict(rules.thresholds)}
    _record_in_stage(context, "policy", digest, document)


def record_tenant_version(
    session: TenantSession, tenant: Tenant, sync_id: str, now: datetime, entry: ConfigEntryFactory
) -> list[AuditEntry]:
    """Note how the tenant is described from now on; return the entry that tells of a change.

    Secrets are not in it, since the description holds references alone; nor is the mapping, which is told of apart.
    """
    document = tenant.model_dump(mode="json", exclude={"mapping"})
    return _record_version(session, "tenant", fingerprint(document), document, sync_id, now, entry)


def _record_in_stage(context: StageContext, kind: AdoptionKind, digest: str, document: Mapping[str, object]) -> None:
    with context.begin() as session:
        entries = _record_version(
            session,
            kind,
            digest,
            document,
            context.sync_id,
            context.now,
            context.make_entry,
        )
        audit_log.append(session, entries)


def _record_version(
    session: TenantSession,
    kind: AdoptionKind,
    digest: str,
    document: Mapping[str, object],
    sync_id: str,
    now: datetime,
    entry: ConfigEntryFactory,
) -> list[AuditEntry]:
    adoption = config_versions.adopt(session, kind, digest, document, sync_id, now)
    if adoption is None:
        return []
    previous = adoption.previous
    told: dict[str, object] = {"digest": digest, "previous_digest": previous.digest if previous else None}
    if previous is None:
        return [entry(_ENTRY_KINDS[kind], "noted", reason=f"the first {kind} that is known of", counts=told)]
    changes = changed_settings(previous.document, document)
    told["changed"] = dict(list(changes.items())[:_MAX_RECORDED_SETTINGS])
    names = list(changes)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    reason = f"another {kind} holds from now on; what differs: {', '.join(names[:5])}{more}"
    if not changes:  # this release knows of a setting more, which is not set
        reason = f"this release writes down the {kind} otherwise; no setting differs"
    return [entry(_ENTRY_KINDS[kind], "noted", reason=reason, counts=told)]


def changed_settings(previous: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """Return what differs between two documents, by dotted names, as ``{previous, new}``; null: it was not there.

    A setting that is long on either side has null in the place of both.
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
