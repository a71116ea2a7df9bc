"""Keeps the waivers in step with their file, and tells the audit trail of each that begins or ends."""

from __future__ import annotations

from datetime import UTC, datetime

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.compliance.waivers import Waiver, WaiversError, changes, load_waivers
from verifywise_mlflow.persistence.queries.waived_gaps import gaps_by_waiver
from verifywise_mlflow.persistence.repositories import audit_log, waivers
from verifywise_mlflow.persistence.repositories.waivers import KeptWaiver
from verifywise_mlflow.persistence.store import Connection, Store
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.tenants.loading import TenantsFileError, shared_waivers_path
from verifywise_mlflow.tenants.tenant import Tenant


class UnusableWaiversError(TenantsFileError):
    """The file of waivers cannot be used. A line for each error."""


class UnusableWaiverError(ValueError):
    """A waiver cannot be granted or withdrawn by command. The message says why."""


def written_waivers(tenant: Tenant) -> tuple[Waiver, ...]:
    """Return the waivers of the tenant's file, or of the one beside ``tenants.yaml`` if there is one.

    Raises:
        UnusableWaiversError: the file says something that is no waiver, or one that the tenant names is not there.
    """
    own, shared = tenant.compliance.waivers, shared_waivers_path()
    try:
        if own is not None:
            return load_waivers(own, tenant.tenant_id, is_own=True)
        return load_waivers(shared, tenant.tenant_id, is_own=False) if shared else ()
    except WaiversError as error:
        raise UnusableWaiversError(str(error)) from error


def keep_in_step(context: StageContext, rules: RuleSet) -> list[str]:
    """Grant what the file has newly, end what it no longer has and what expired; return sentences for people."""

    def tell(kind: EntryKind, waiver: Waiver, how: str) -> AuditEntry:
        return context.entry(
            kind,
            "noted",
            reason=f"{waiver.sentence} ({how})",
            object_kind="waiver",
            object_name=waiver.about,
            counts=waiver.model_dump(mode="json"),
        )

    written = written_waivers(context.tenant)
    tenant_id, now, today = context.tenant.tenant_id, context.now, context.now.astimezone(UTC).date()
    with context.begin() as connection:
        waivers.one_at_a_time(connection, tenant_id)
        before = waivers.not_ended(connection, tenant_id)
        expired = [one for one in before if one.waiver.ends_at <= now]
        of_file = {one.waiver: one for one in before if one.source == "file" and one not in expired}
        found = changes(of_file, written, today)
        waivers.end(connection, tenant_id, [one.waiver_id for one in expired], "expired", now)
        waivers.end(connection, tenant_id, [of_file[one].waiver_id for one in found.withdrawn], "withdrawn", now)
        waivers.grant(connection, tenant_id, found.granted, "file", now, context.sync_id)
        audit_log.append(
            connection,
            [
                *(tell("waiver expired", one.waiver, "the gap is open again") for one in expired),
                *(tell("waiver withdrawn", one, "it is no longer in the file") for one in found.withdrawn),
                *(tell("waiver granted", one, "it is in the file") for one in found.granted),
            ],
        )
        ever = waivers.kept(connection, tenant_id)
    unknown = dict.fromkeys(one.waiver.rule for one in ever if not one.ended if one.waiver.rule not in rules.policy_of)
    granted = {one.waiver for one in ever}
    too_late = [one for one in written if one.expires < today and one not in granted]
    return [
        *(f"a waiver is for the rule {rule!r}, which no policy asks for" for rule in unknown),
        *(f"the waiver for {one.about} was over before it was read: it never held" for one in too_late),
    ]


def grant_by_command(store: Store, tenant: Tenant, waiver: Waiver, now: datetime) -> int:
    """Grant a waiver, and tell so in the trail; return how many gaps it covers now.

    Raises:
        UnusableWaiverError: it has expired already, or the same one holds.
    """
    if waiver.ends_at <= now:
        raise UnusableWaiverError(f"{waiver.expires.isoformat()} is over: a waiver has to expire today or later")
    with store.begin(tenant.tenant_id) as connection:
        waivers.one_at_a_time(connection, tenant.tenant_id)
        if any(one.waiver == waiver for one in waivers.not_ended(connection, tenant.tenant_id)):
            raise UnusableWaiverError("the same waiver holds already")
        waivers.grant(connection, tenant.tenant_id, [waiver], "command", now, "")
        _append(connection, tenant, "waiver granted", waiver, "by command", now)
        (granted,) = (one for one in waivers.not_ended(connection, tenant.tenant_id) if one.waiver == waiver)
        return gaps_by_waiver(connection, tenant.tenant_id).get(granted.waiver_id, 0)


def withdraw_by_command(store: Store, tenant: Tenant, waiver_id: int, now: datetime) -> KeptWaiver:
    """End a waiver that was granted by command, and tell so in the trail; return it.

    Raises:
        UnusableWaiverError: there is none of this number that holds, or it stands in a file.
    """
    with store.begin(tenant.tenant_id) as connection:
        waivers.one_at_a_time(connection, tenant.tenant_id)
        found = {one.waiver_id: one for one in waivers.holding(connection, tenant.tenant_id, now)}
        if waiver_id not in found:
            raise UnusableWaiverError(f"there is no waiver {waiver_id} of the tenant that holds")
        one = found[waiver_id]
        if one.source == "file":
            raise UnusableWaiverError("it stands in the file of waivers: take it out there")
        waivers.end(connection, tenant.tenant_id, [waiver_id], "withdrawn", now)
        _append(connection, tenant, "waiver withdrawn", one.waiver, "by command", now)
    return one


def _append(connection: Connection, tenant: Tenant, kind: EntryKind, waiver: Waiver, how: str, now: datetime) -> None:
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
    audit_log.append(connection, [entry])
