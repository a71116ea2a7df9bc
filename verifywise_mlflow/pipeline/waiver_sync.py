"""Keeps the waivers in step with their file, and tells the audit trail of each that begins or ends."""

from __future__ import annotations

from datetime import UTC, datetime

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.compliance.waivers import Waiver, WaiversError, load_waivers, waiver_changes
from verifywise_mlflow.persistence.queries.waived_gaps import gaps_by_waiver
from verifywise_mlflow.persistence.repositories import audit_log, waivers
from verifywise_mlflow.persistence.repositories.waivers import KeptWaiver
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.tenants.loading import TenantsFileError, shared_waivers_path
from verifywise_mlflow.tenants.tenant import Tenant


class InvalidWaiversFileError(TenantsFileError):
    """The file of waivers cannot be used. A line for each error."""


class WaiverNotAllowedError(ValueError):
    """A waiver cannot be granted or withdrawn by command. The message says why."""


def load_tenant_waivers(tenant: Tenant) -> tuple[Waiver, ...]:
    """Return the waivers of the tenant's file, or of the one beside ``tenants.yaml`` if there is one.

    Raises:
        UnusableWaiversError: the file says something that is no waiver, or one that the tenant names is not there.
    """
    own_path, shared = tenant.compliance.waivers, shared_waivers_path()
    try:
        if own_path is not None:
            return load_waivers(own_path, tenant.tenant_id, is_own=True)
        return load_waivers(shared, tenant.tenant_id, is_own=False) if shared else ()
    except WaiversError as error:
        raise InvalidWaiversFileError(str(error)) from error


def sync_waivers(context: StageContext, rules: RuleSet) -> list[str]:
    """Grant what the file has newly, end what it no longer has and what expired; return sentences for people."""

    def tell(kind: EntryKind, waiver: Waiver, how: str) -> AuditEntry:
        return context.make_entry(
            kind,
            "noted",
            reason=f"{waiver.sentence} ({how})",
            object_kind="waiver",
            object_name=waiver.about,
            counts=waiver.model_dump(mode="json"),
        )

    written = load_tenant_waivers(context.tenant)
    now, today = context.now, context.now.astimezone(UTC).date()
    with context.begin() as session:
        waivers.one_at_a_time(session)
        before = waivers.not_ended(session)
        expired = [one for one in before if one.waiver.ends_at <= now]
        of_file = {one.waiver: one for one in before if one.source == "file" and one not in expired}
        found = waiver_changes(of_file, written, today)
        waivers.end(session, [one.waiver_id for one in expired], "expired", now)
        waivers.end(session, [of_file[one].waiver_id for one in found.withdrawn], "withdrawn", now)
        waivers.grant(session, found.granted, "file", now, context.sync_id)
        audit_log.append(
            session,
            [
                *(tell("waiver expired", one.waiver, "the gap is open again") for one in expired),
                *(tell("waiver withdrawn", one, "it is no longer in the file") for one in found.withdrawn),
                *(tell("waiver granted", one, "it is in the file") for one in found.granted),
            ],
        )
        ever = waivers.kept(session)
    unknown = dict.fromkeys(one.waiver.rule for one in ever if not one.ended if one.waiver.rule not in rules.policy_of)
    granted = {one.waiver for one in ever}
    too_late = [one for one in written if one.expires < today and one not in granted]
    return [
        *(f"a waiver is for the rule {rule!r}, which no policy asks for" for rule in unknown),
        *(f"the waiver for {one.about} was over before it was read: it never held" for one in too_late),
    ]


def grant_waiver(store: Store, tenant: Tenant, waiver: Waiver, now: datetime) -> int:
    """Grant a waiver, and tell so in the trail; return how many gaps it covers now.

    Raises:
        UnusableWaiverError: it has expired already, or the same one holds.
    """
    if waiver.ends_at <= now:
        raise WaiverNotAllowedError(f"{waiver.expires.isoformat()} is over: a waiver has to expire today or later")
    with store.begin(tenant.tenant_id) as session:
        waivers.one_at_a_time(session)
        if any(one.waiver == waiver for one in waivers.not_ended(session)):
            raise WaiverNotAllowedError("the same waiver holds already")
        waivers.grant(session, [waiver], "command", now, "")
        _append(session, tenant, "waiver granted", waiver, "by command", now)
        (granted,) = (one for one in waivers.not_ended(session) if one.waiver == waiver)
        return gaps_by_waiver(session).get(granted.waiver_id, 0)


def withdraw_waiver(store: Store, tenant: Tenant, waiver_id: int, now: datetime) -> KeptWaiver:
    """End a waiver that was granted by command, and tell so in the trail; return it.

    Raises:
        UnusableWaiverError: there is none of this number that holds, or it stands in a file.
    """
    with store.begin(tenant.tenant_id) as session:
        waivers.one_at_a_time(session)
        found = {one.waiver_id: one for one in waivers.holding(session, now)}
        if waiver_id not in found:
            raise WaiverNotAllowedError(f"there is no waiver {waiver_id} of the tenant that holds")
        one = found[waiver_id]
        if one.source == "file":
            raise WaiverNotAllowedError("it stands in the file of waivers: take it out there")
        waivers.end(session, [waiver_id], "withdrawn", now)
        _append(session, tenant, "waiver withdrawn", one.waiver, "by command", now)
    return one


def _append(session: TenantSession, tenant: Tenant, kind: EntryKind, waiver: Waiver, how: str, now: datetime) -> None:
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
        reason=f"{waiver.sentence} ({how})",
        counts=waiver.model_dump(mode="json"),
    )
    audit_log.append(session, [entry])
