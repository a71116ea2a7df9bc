"""Grants and ends waivers: by the waivers file in each sync, or by command. Each change gets an audit entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.compliance.waiver_violations import limit_violations
from verifywise_mlflow.compliance.waivers import Waiver, WaiversError, load_waivers, waiver_changes
from verifywise_mlflow.normalizer.lifecycle_event import EventKind
from verifywise_mlflow.normalizer.mapping.mapping_index import MappingIndex, mapping_index
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.persistence.queries.waived_gaps import gaps_by_waiver
from verifywise_mlflow.persistence.repositories import audit_log, delivery_outbox, waivers
from verifywise_mlflow.persistence.repositories.lifecycle_events import lifecycle_events_of
from verifywise_mlflow.persistence.repositories.state_commitments import append_with_states
from verifywise_mlflow.persistence.repositories.waivers import EndReason, StoredWaiver
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import shared_waivers_path
from verifywise_mlflow.tenants.tenant import Tenant

_END_KINDS: Final[Mapping[EndReason, EntryKind]] = {
    "expired": "waiver expired",
    "withdrawn": "waiver withdrawn",
    "superseded": "waiver withdrawn",
}
_LISTED_WAIVERS: Final = 20
_SUPERSEDED: Final = "the version that it accepted was deleted, and another one has its number"


class InvalidWaiversFileError(TenantsFileError):
    """The waivers file cannot be used. The message has one line per error."""


class WaiverCommandError(ValueError):
    """A waiver cannot be granted or withdrawn by command. The message says why."""


def load_tenant_waivers(tenant: Tenant) -> Mapping[Waiver, str]:
    """Return the waivers of the tenant's own file, or else of the file next to ``tenants.yaml`` if it exists.

    Each waiver maps to its place in the file. ``violations_in_file`` checks the tenant's limits.

    Raises:
        InvalidWaiversFileError: the file is invalid, or the file that the tenant names does not exist.
    """
    is_own, path = tenant.compliance.waivers is not None, _waivers_path(tenant)
    try:
        return load_waivers(path, tenant.tenant_id, is_own=is_own) if path else {}
    except WaiversError as error:
        raise InvalidWaiversFileError(str(error)) from error


def _waivers_path(tenant: Tenant) -> Path | None:
    return tenant.compliance.waivers or shared_waivers_path()


def violations_in_file(tenant: Tenant, now: datetime) -> list[str]:
    """Return a sentence for each limit of the tenant that a waiver of its file exceeds, with its place in the file.

    Waivers that have expired are left out, since they are not granted.

    Raises:
        InvalidWaiversFileError: the file cannot be used.
    """
    violations_of = _limits_of(tenant, now)
    return [
        f"{place}: {sentence}"
        for waiver, place in load_tenant_waivers(tenant).items()
        if waiver.ends_at > now
        for sentence in violations_of(waiver)
    ]


def sync_waivers(context: StageContext, rules: RuleSet) -> list[str]:
    """Grant the waivers that are new in the file; end waivers that expired or were removed from it; return warnings.

    A waiver that exceeds the tenant's limits is not granted; if it is in force, by file or by command, it is withdrawn,
    so that its gap is open again. A waiver of a version that was deleted and created again is withdrawn, too: nobody
    has examined the successor. The evaluation continues: one waiver must not keep a tenant's verdicts out of date.
    """
    now, today = context.now, context.now.astimezone(UTC).date()
    violations_of = _limits_of(context.tenant, now)
    places = load_tenant_waivers(context.tenant)
    refused = {
        waiver: violations for waiver in places if waiver.ends_at > now and (violations := violations_of(waiver))
    }
    with context.begin() as session:
        waivers.lock_waivers(session)
        all_waivers = waivers.all_waivers(session)
        ends: dict[StoredWaiver, tuple[EndReason, str]] = {}
        from_file: dict[Waiver, StoredWaiver] = {}
        for stored in all_waivers:
            if stored.ended_at is not None:
                continue
            if stored.waiver.ends_at <= now:
                ends[stored] = ("expired", "the gap is open again")
            elif _is_superseded(session, stored):
                ends[stored] = ("superseded", _SUPERSEDED)
            elif violations := violations_of(stored.waiver):
                ends[stored] = ("withdrawn", _beyond_limits(violations))
            elif stored.source == "file":
                from_file[stored.waiver] = stored
        superseded = _superseded_in_file(all_waivers, ends)
        allowed = (waiver for waiver in places if waiver not in refused and waiver not in superseded)
        changes = waiver_changes(from_file, allowed, today)
        ends |= {from_file[waiver]: ("withdrawn", "removed from the file") for waiver in changes.withdrawn}
        entries = []
        for stored, (end_reason, cause) in ends.items():
            waivers.end_waivers(session, [stored.waiver_id], end_reason, now, context.sync_id)
            entries.append(_sync_entry(context, _END_KINDS[end_reason], stored.waiver, cause))
        waivers.insert_waivers(session, changes.granted, "file", now, context.sync_id)
        entries += [_sync_entry(context, "waiver granted", waiver, "added to the file") for waiver in changes.granted]
        changed_rules = {stored.waiver.rule for stored in ends} | {waiver.rule for waiver in changes.granted}
        targets = context.tenant.delivery.state_targets()
        delivery_outbox.enqueue_gaps(session, targets, changed_rules, sync_id=context.sync_id, now=now)
        audit_log.append(session, entries)
        if entries:
            all_waivers = waivers.all_waivers(session)
    in_force_rules = dict.fromkeys(stored.waiver.rule for stored in all_waivers if not stored.end_reason)
    unknown_rules = [rule for rule in in_force_rules if rule not in rules.policy_of]
    ever_granted = {stored.waiver for stored in all_waivers}
    expired_unread = [waiver for waiver in places if waiver.expires < today and waiver not in ever_granted]
    return [
        *(f"a waiver names the rule {rule!r}, which no policy of the tenant has" for rule in unknown_rules),
        *(
            f"the waiver for {waiver.about} had expired before it was first read: it never applied"
            for waiver in expired_unread
        ),
        *(
            f"waiver {stored.waiver_id} for {stored.waiver.about} was withdrawn: {cause}"
            for stored, (end_reason, cause) in ends.items()
            if end_reason != "expired" and stored.source == "command"
        ),
        *(
            f"{place} does not apply: {_SUPERSEDED}: examine the new one, and write a new reason to accept its gap"
            for waiver, place in places.items()
            if waiver in superseded and waiver.ends_at > now
        ),
        *(f"{places[waiver]} does not apply: {_beyond_limits(violations)}" for waiver, violations in refused.items()),
    ]


def _is_superseded(session: TenantSession, stored: StoredWaiver) -> bool:
    """Return whether a version that a waiver names by number was deleted and created again since the grant."""
    waiver = stored.waiver
    if waiver.version is None:
        return False
    events = lifecycle_events_of(
        session,
        None if waiver.is_pattern else waiver.model,
        waiver.version,
        kind=EventKind.RECREATED,
        since=stored.granted_at,
    )
    return any(
        recorded.seen_at > stored.granted_at and waiver.covers(waiver.rule, recorded.event.model_name, waiver.version)
        for recorded in events
    )


def _superseded_in_file(
    all_waivers: Iterable[StoredWaiver], ends: Mapping[StoredWaiver, tuple[EndReason, str]]
) -> set[Waiver]:
    """Return the waivers whose last grant by file was superseded: the same line of the file does not renew them."""
    end_reasons: dict[Waiver, EndReason | None] = {}
    for stored in all_waivers:  # oldest first, so the last waiver decides
        if stored.source == "file":
            end_reasons[stored.waiver] = ends[stored][0] if stored in ends else stored.end_reason
    return {waiver for waiver, end_reason in end_reasons.items() if end_reason == "superseded"}


def _limits_of(tenant: Tenant, now: datetime) -> Callable[[Waiver], list[str]]:
    """Return the function that lists how a waiver exceeds the tenant's limits now."""
    limits, today = tenant.compliance.waiver_limits, now.astimezone(UTC).date()

    @cache
    def index() -> MappingIndex:  # takes a tenth of a second, and most tenants have no waiver
        return mapping_index(default_mapping().extended_by(tenant.mapping))

    return lambda waiver: limit_violations(waiver, limits, index(), today)


def _beyond_limits(violations: Sequence[str]) -> str:
    return f"it exceeds the tenant's limits: {'; '.join(violations)}"


def _sync_entry(context: StageContext, kind: EntryKind, waiver: Waiver, cause: str) -> AuditEntry:
    return context.make_entry(
        kind,
        "noted",
        reason=f"{waiver.sentence} ({cause})",
        object_kind="waiver",
        object_name=waiver.about,
        counts=waiver.model_dump(mode="json"),
    )


def grant_waiver(store: Store, tenant: Tenant, waiver: Waiver, now: datetime) -> int:
    """Grant a waiver by command, with an audit entry; return how many gaps it covers now.

    Raises:
        WaiverCommandError: it has expired, it exceeds the tenant's limits, or an equal waiver is in force.
    """
    if waiver.ends_at <= now:
        raise WaiverCommandError(f"{waiver.expires.isoformat()} is in the past: a waiver must expire today or later")
    if violations := _limits_of(tenant, now)(waiver):
        raise WaiverCommandError("\n".join(violations))
    with store.begin(tenant.tenant_id) as session:
        waivers.lock_waivers(session)
        if any(stored.waiver == waiver for stored in waivers.unended_waivers(session)):
            raise WaiverCommandError("the same waiver is already in force")
        waivers.insert_waivers(session, [waiver], "command", now, "")
        targets = tenant.delivery.state_targets()
        delivery_outbox.enqueue_gaps(session, targets, {waiver.rule}, sync_id="", now=now)
        _append_entry(session, tenant, "waiver granted", waiver, now)
        (granted,) = (stored for stored in waivers.unended_waivers(session) if stored.waiver == waiver)
        return gaps_by_waiver(session).get(granted.waiver_id, 0)


def withdraw_waiver(store: Store, tenant: Tenant, waiver_id: int, now: datetime) -> StoredWaiver:
    """End a waiver that was granted by command, with an audit entry; return it.

    Raises:
        WaiverCommandError: no waiver with this ID is in force, or it comes from a file.
    """
    with store.begin(tenant.tenant_id) as session:
        waivers.lock_waivers(session)
        in_force = {stored.waiver_id: stored for stored in waivers.waivers_in_force(session, now)}
        if waiver_id not in in_force:
            numbers = ", ".join(str(number) for number in sorted(in_force)[:_LISTED_WAIVERS]) or "none"
            more = f" and {len(in_force) - _LISTED_WAIVERS} more" if len(in_force) > _LISTED_WAIVERS else ""
            raise WaiverCommandError(
                f"the tenant {quote(tenant.tenant_id)} has no waiver {waiver_id} in force; "
                f"in force are: {numbers}{more}"
            )
        withdrawn = in_force[waiver_id]
        if withdrawn.source == "file":
            raise WaiverCommandError(
                f"the waiver {waiver_id} of the tenant {quote(tenant.tenant_id)} comes from the waivers file "
                f"{_waivers_path(tenant)}: remove it there"
            )
        waivers.end_waivers(session, [waiver_id], "withdrawn", now, "")
        targets = tenant.delivery.state_targets()
        delivery_outbox.enqueue_gaps(session, targets, {withdrawn.waiver.rule}, sync_id="", now=now)
        _append_entry(session, tenant, "waiver withdrawn", withdrawn.waiver, now)
    return withdrawn


def _append_entry(session: TenantSession, tenant: Tenant, kind: EntryKind, waiver: Waiver, now: datetime) -> None:
    entry = AuditEntry(
        tenant_id=tenant.tenant_id,
        occurred_at=now,
        kind=kind,
        sync_id="",
        source_uri=tenant.tracking_uri,
        outcome="noted",
        code_version=__version__,
        object_kind="waiver",
        object_name=waiver.about,
        reason=f"{waiver.sentence} (by command)",
        counts=waiver.model_dump(mode="json"),
    )
    append_with_states(session, entry)
