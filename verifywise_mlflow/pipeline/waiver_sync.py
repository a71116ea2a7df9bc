"""Grants and ends waivers: by the waivers file in each sync, or by command. Each change gets an audit entry."""

from __future__ import annotations

from datetime import UTC, datetime

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.compliance.waivers import Waiver, WaiversError, load_waivers, waiver_changes
from verifywise_mlflow.persistence.queries.waived_gaps import gaps_by_waiver
from verifywise_mlflow.persistence.repositories import audit_log, waivers
from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import shared_waivers_path
from verifywise_mlflow.tenants.tenant import Tenant


class InvalidWaiversFileError(TenantsFileError):
    """The waivers file cannot be used. The message has one line per error."""


class WaiverCommandError(ValueError):
    """A waiver cannot be granted or withdrawn by command. The message says why."""


def load_tenant_waivers(tenant: Tenant) -> tuple[Waiver, ...]:
    """Return the waivers of the tenant's own file, or else of the file next to ``tenants.yaml`` if there is one.

    Raises:
        InvalidWaiversFileError: the file is invalid, or the file that the tenant names does not exist.
    """
    own_path, shared_path = tenant.compliance.waivers, shared_waivers_path()
    try:
        if own_path is not None:
            return load_waivers(own_path, tenant.tenant_id, is_own=True)
        return load_waivers(shared_path, tenant.tenant_id, is_own=False) if shared_path else ()
    except WaiversError as error:
        raise InvalidWaiversFileError(str(error)) from error


def sync_waivers(context: StageContext, rules: RuleSet) -> list[str]:
    """Grant the waivers that are new in the file, end those that left it or expired; return warnings for people."""

    def make_entry(kind: EntryKind, waiver: Waiver, cause: str) -> AuditEntry:
        return context.make_entry(
            kind,
            "noted",
            reason=f"{waiver.sentence} ({cause})",
            object_kind="waiver",
            object_name=waiver.about,
            counts=waiver.model_dump(mode="json"),
        )

    file_waivers = load_tenant_waivers(context.tenant)
    now, today = context.now, context.now.astimezone(UTC).date()
    with context.begin() as session:
        waivers.lock_waivers(session)
        not_ended = waivers.unended_waivers(session)
        expired = [stored for stored in not_ended if stored.waiver.ends_at <= now]
        from_file = {stored.waiver: stored for stored in not_ended if stored.source == "file" and stored not in expired}
        changes = waiver_changes(from_file, file_waivers, today)
        waivers.end_waivers(session, [stored.waiver_id for stored in expired], "expired", now)
        waivers.end_waivers(session, [from_file[waiver].waiver_id for waiver in changes.withdrawn], "withdrawn", now)
        waivers.insert_waivers(session, changes.granted, "file", now, context.sync_id)
        audit_log.append(
            session,
            [
                *(make_entry("waiver expired", stored.waiver, "the gap is open again") for stored in expired),
                *(make_entry("waiver withdrawn", waiver, "removed from the file") for waiver in changes.withdrawn),
                *(make_entry("waiver granted", waiver, "added to the file") for waiver in changes.granted),
            ],
        )
        all_waivers = waivers.all_waivers(session)
    in_force_rules = dict.fromkeys(stored.waiver.rule for stored in all_waivers if not stored.end_reason)
    unknown_rules = [rule for rule in in_force_rules if rule not in rules.policy_of]
    ever_granted = {stored.waiver for stored in all_waivers}
    expired_unread = [waiver for waiver in file_waivers if waiver.expires < today and waiver not in ever_granted]
    return [
        *(f"a waiver names the rule {rule!r}, which no policy of the tenant has" for rule in unknown_rules),
        *(
            f"the waiver for {waiver.about} had expired before it was first read: it never applied"
            for waiver in expired_unread
        ),
    ]


def grant_waiver(store: Store, tenant: Tenant, waiver: Waiver, now: datetime) -> int:
    """Grant a waiver by command, with an audit entry; return how many gaps it covers now.

    Raises:
        WaiverCommandError: it has expired, or an equal waiver is in force.
    """
    if waiver.ends_at <= now:
        raise WaiverCommandError(f"{waiver.expires.isoformat()} is in the past: a waiver must expire today or later")
    with store.begin(tenant.tenant_id) as session:
        waivers.lock_waivers(session)
        if any(stored.waiver == waiver for stored in waivers.unended_waivers(session)):
            raise WaiverCommandError("the same waiver is already in force")
        waivers.insert_waivers(session, [waiver], "command", now, "")
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
            raise WaiverCommandError(f"the tenant has no waiver {waiver_id} in force")
        withdrawn = in_force[waiver_id]
        if withdrawn.source == "file":
            raise WaiverCommandError("the waiver comes from the waivers file: remove it there")
        waivers.end_waivers(session, [waiver_id], "withdrawn", now)
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
    audit_log.append(session, [entry])
