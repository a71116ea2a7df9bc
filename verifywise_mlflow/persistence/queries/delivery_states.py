"""The current state of versions, as deliveries need it: record, verdicts, badge and waivers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow.persistence.pg_text_codec import unescape
from verifywise_mlflow.persistence.repositories.config_versions import config_version
from verifywise_mlflow.persistence.repositories.verdicts import canonical_record
from verifywise_mlflow.persistence.repositories.waivers import waivers_in_force
from verifywise_mlflow.persistence.row_mapping import Key, is_one_of, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import CELL_SEPARATOR
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, model_versions, version_verdicts


@dataclass(frozen=True, slots=True)
class VersionUse:
    """The values that decide whether a version is delivered."""

    incarnation: int
    lifecycle_stage: str | None
    deployment_status: str | None
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class StatedVerdict:
    """The verdict of a rule on a version, with its reason."""

    rule_id: str
    verdict: str
    reason: str
    evaluated_at: datetime
    """When an evaluation first gave this verdict."""
    open_since: datetime | None
    waiver: Waiver | None
    """The first waiver in force that covers the verdict, if a gap is open."""


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """The current state of a version."""

    record: CanonicalRecord
    incarnation: int
    deleted_at: datetime | None
    badge: str
    verdicts: tuple[StatedVerdict, ...]
    """In the order of the rules' ids."""
    unread: tuple[str, ...]
    """The kinds of the objects that could not be read."""

    @property
    def key(self) -> Key:
        """The version's model name and number."""
        return (self.record.model_name, self.record.version_number)

    @property
    def judged_at(self) -> datetime | None:
        """When the version's newest verdict was first given.

        An evaluation that changes nothing does not change this time.
        """
        return max((verdict.evaluated_at for verdict in self.verdicts), default=None)


def version_uses(session: TenantSession, keys: Collection[Key]) -> dict[Key, VersionUse]:
    """Return the values that decide whether versions are delivered. Versions without a record are left out."""
    records, versions = canonical_records, model_versions
    rows = session.execute(
        select(
            *(records.c.model_name, records.c.version_number, func.coalesce(versions.c.incarnation, 1)),
            *(records.c.lifecycle_stage, records.c.deployment_status, records.c.deleted_at),
        )
        .select_from(records.outerjoin(versions, same_version(records, versions)))
        .where(records.c.tenant_id == session.tenant_id, is_one_of(records, keys))
    )
    return {
        (name, number): VersionUse(incarnation, stage, status, deleted_at is not None)
        for name, number, incarnation, stage, status, deleted_at in rows
    }


def delivery_states(session: TenantSession, keys: Collection[Key], at: datetime) -> list[DeliveryState]:
    """Return the states of versions, sorted by key. Versions that were not evaluated yet are left out.

    Only waivers that are in force at ``at`` count.
    """
    if not keys:
        return []
    records, badges, versions, stored = canonical_records, compliance_badges, model_versions, version_verdicts
    arrays = (stored.c.rule_ids, stored.c.verdicts, stored.c.evaluated_at, stored.c.open_since)
    rows = session.execute(
        select(
            records,
            badges.c.badge,
            func.coalesce(versions.c.incarnation, 1).label("incarnation"),
            *(array.label(f"a_{array.name}") for array in arrays),
            stored.c.reasons,
        )
        .select_from(
            records.join(badges, same_version(badges, records))
            .outerjoin(versions, same_version(versions, records))
            .outerjoin(stored, same_version(stored, records))
        )
        .where(records.c.tenant_id == session.tenant_id, is_one_of(records, keys))
        .order_by(records.c.model_name, records.c.version_number)
    ).mappings()
    waivers = [stored_waiver.waiver for stored_waiver in waivers_in_force(session, at)]
    return [_state(dict(row), waivers) for row in rows]


def policy_versions(session: TenantSession) -> dict[str, str]:
    """Return the IDs and versions of the policies that the current verdicts follow from."""
    current = config_version(session, "policy")
    policies = current.document.get("policies") if current else None
    if not isinstance(policies, Mapping):
        return {}
    return {
        str(policy_id): str(policy.get("version"))
        for policy_id, policy in policies.items()
        if isinstance(policy, Mapping)
    }


def _state(row: dict[str, object], waivers: list[Waiver]) -> DeliveryState:
    record = canonical_record(row)
    columns: list[list[object]] = [
        [*_list(row[f"a_{name}"])] for name in ("rule_ids", "verdicts", "evaluated_at", "open_since")
    ]
    reasons = str(row["reasons"]).split(CELL_SEPARATOR) if row["reasons"] is not None else []
    verdicts = [
        _verdict(record, waivers, unescape(str(rule_id)), str(verdict), unescape(str(reason)), at, since)
        for rule_id, verdict, at, since, reason in zip(*columns, reasons, strict=True)
    ]
    incarnation, badge, deleted_at = row["incarnation"], row["badge"], row["deleted_at"]
    assert isinstance(incarnation, int)  # the columns' types
    assert isinstance(badge, str)
    assert deleted_at is None or isinstance(deleted_at, datetime)
    return DeliveryState(
        record,
        incarnation,
        deleted_at,
        badge,
        tuple(sorted(verdicts, key=lambda verdict: verdict.rule_id)),
        tuple(sorted({str(item.get("kind")) for item in _list(row["incomplete"]) if isinstance(item, Mapping)})),
    )


def _verdict(
    record: CanonicalRecord,
    waivers: list[Waiver],
    rule_id: str,
    verdict: str,
    reason: str,
    evaluated_at: object,
    open_since: object,
) -> StatedVerdict:
    assert isinstance(evaluated_at, datetime)  # the columns' types
    assert open_since is None or isinstance(open_since, datetime)
    covers = (waiver for waiver in waivers if waiver.covers(rule_id, record.model_name, record.version_number))
    waiver = next(covers, None) if open_since is not None else None
    return StatedVerdict(rule_id, verdict, reason, evaluated_at, open_since, waiver)


def _list(value: object) -> list[Json]:
    return value if isinstance(value, list) else []
