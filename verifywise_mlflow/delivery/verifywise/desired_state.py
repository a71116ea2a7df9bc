"""The desired state of a version in VerifyWise, derived from its current state in our store. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Final

from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.delivery.verifywise import custom_fields
from verifywise_mlflow.delivery.verifywise.custom_fields import OwnField
from verifywise_mlflow.delivery.verifywise.entry import EntryStatus
from verifywise_mlflow.delivery.verifywise.evidence_document import EvidenceDocument, evidence_document
from verifywise_mlflow.delivery.verifywise.metrics import metric_points
from verifywise_mlflow.delivery.verifywise.remote import FieldValue, MetricPoint
from verifywise_mlflow.delivery.verifywise.risks import DesiredRisk
from verifywise_mlflow.delivery.verifywise.texts import (
    MAX_FIELD_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    cut,
    external_key,
    field_text,
    plain,
)
from verifywise_mlflow.normalizer.record import STATUSES_IN_USE
from verifywise_mlflow.persistence.queries.delivery_states import DeliveryState, StatedVerdict, VersionUse
from verifywise_mlflow.tenants.delivery.verifywise import VerifyWiseSettings, VersionScope
from verifywise_mlflow.tenants.mlflow_links import version_page_url
from verifywise_mlflow.tenants.tenant import Tenant

RISK_TERM: Final = timedelta(days=30)
"""VerifyWise requires a target date for each risk. It is this long after the risk is opened. People may change it."""
_LEVELS: Final[Mapping[Severity | None, str]] = {
    Severity.LOW: "Low",
    Severity.MEDIUM: "Medium",
    Severity.HIGH: "High",
    Severity.CRITICAL: "Critical",
    None: "Medium",  # the rule is no longer part of the tenant's policies
}
_STAGES_IN_USE: Final = ("production", "staging")


@dataclass(frozen=True, slots=True)
class RuleText:
    """The texts of a rule."""

    title: str
    remedy: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The desired state of a version in VerifyWise."""

    key: str
    """The version's key in VerifyWise."""
    is_gone: bool
    """Whether MLflow no longer has the version. Then the entry is retired, in releases that have this status, and
    everything else stays unchanged."""
    entry: Mapping[str, FieldValue]
    status: EntryStatus
    failing: Mapping[str, DesiredRisk]
    """Rule id to the risk of the rule."""
    undecided: frozenset[str]
    """Rules whose risks stay as they are."""
    evidence_name: str
    document: EvidenceDocument | None
    custom_fields: Mapping[OwnField, FieldValue]
    metrics: list[MetricPoint]


def is_in_scope(use: VersionUse, scope: VersionScope) -> bool:
    """Return whether a version gets an inventory entry."""
    if use.is_deleted:
        return False
    match scope:
        case "production":
            return use.lifecycle_stage == "production"
        case "in_use":
            return use.lifecycle_stage in _STAGES_IN_USE or use.deployment_status in STATUSES_IN_USE
        case "all":
            return True


def desired_state(
    tenant: Tenant,
    settings: VerifyWiseSettings,
    rules: Mapping[str, RuleText],
    policies: Mapping[str, str],
    state: DeliveryState,
    today: date,
    *,
    has_intended_use: bool,
) -> DesiredState:
    """Return the desired state of a version in VerifyWise.

    Args:
        tenant: The tenant.
        settings: What is delivered.
        rules: The texts of each rule, by id.
        policies: The policies from which the verdicts follow, with their versions.
        state: The version's current state.
        today: The day on which new risks are opened.
        has_intended_use: Whether the release's inventory has the field ``intended_use``.
    """
    record = state.record
    key = external_key(tenant.tenant_id, record.model_name, record.version_number, state.incarnation)
    page_url = version_page_url(tenant, record.model_name, record.version_number)
    name = f"{plain(record.model_name)} version {record.version_number}"
    open_verdicts, undecided_verdicts = _verdict_kinds(settings)
    failing = {
        verdict.rule_id: _risk(name, page_url, verdict, rules.get(verdict.rule_id), today)
        for verdict in state.verdicts
        if verdict.verdict in open_verdicts
    }
    titles = {rule_id: rule.title for rule_id, rule in rules.items()}
    return DesiredState(
        key=key,
        is_gone=state.deleted_at is not None,
        entry=_entry_fields(tenant, state, key, page_url, has_intended_use=has_intended_use),
        status="Restricted" if settings.restrict_failing and state.badge == Badge.FAILING else "Pending",
        failing=failing,
        undecided=frozenset(verdict.rule_id for verdict in state.verdicts if verdict.verdict in undecided_verdicts),
        evidence_name=cut(f"MLflow governance evidence: {name}"),
        document=None
        if settings.evidence == "none"
        else evidence_document(tenant.tenant_id, state, titles, policies, page_url),
        custom_fields=_custom_fields(state, policies),
        metrics=metric_points(record) if settings.metrics_token else [],
    )


def _verdict_kinds(settings: VerifyWiseSettings) -> tuple[frozenset[str], frozenset[str]]:
    """Return the verdicts that open a risk, and the verdicts that leave a risk as it is."""
    if settings.risks == "open":
        return frozenset((Verdict.FAIL, Verdict.ERROR, Verdict.NOT_EVIDENCED)), frozenset((Verdict.NOT_READ,))
    return frozenset((Verdict.FAIL,)), frozenset((Verdict.ERROR, Verdict.NOT_EVIDENCED, Verdict.NOT_READ))


def _entry_fields(
    tenant: Tenant, state: DeliveryState, key: str, page_url: str, *, has_intended_use: bool
) -> dict[str, FieldValue]:
    record = state.record
    fields: dict[str, FieldValue] = {
        "provider": field_text(f"MLflow: {tenant.tenant_id}"),
        "model": field_text(record.model_name),
        "version": str(record.version_number),
        "provider_model": key,
        "reference_link": page_url if len(page_url) <= MAX_FIELD_CHARACTERS else field_text(tenant.tracking_uri),
    }
    if has_intended_use:
        fields["intended_use"] = cut(plain(record.business_purpose or ""), MAX_TEXT_CHARACTERS)
    return fields


def _risk(name: str, page_url: str, verdict: StatedVerdict, rule: RuleText | None, today: date) -> DesiredRisk:
    title = rule.title if rule else verdict.rule_id
    lines = [
        f"{verdict.verdict.capitalize()}: {plain(verdict.reason)}",
        f"Rule {plain(verdict.rule_id)}: {plain(title)}",
        f"{name}: {plain(page_url)}",
    ]
    plan = [plain(rule.remedy)] if rule else []
    if verdict.waiver:
        plan.append(f"Waived in the pipeline: {plain(verdict.waiver.sentence)}")
    return DesiredRisk(
        {
            "risk_name": cut(f"{name}: {plain(title)}"),
            "risk_level": _LEVELS[rule.severity if rule else None],
            "description": cut("\n".join(lines), MAX_TEXT_CHARACTERS),
            "mitigation_plan": cut("\n".join(plan), MAX_TEXT_CHARACTERS),
        },
        today + RISK_TERM,
    )


def _custom_fields(state: DeliveryState, policies: Mapping[str, str]) -> dict[OwnField, FieldValue]:
    failed = [verdict.rule_id for verdict in state.verdicts if verdict.verdict == Verdict.FAIL]
    judged_at = state.judged_at
    return {
        custom_fields.BADGE: state.badge,
        custom_fields.FAILED_RULES: field_text(", ".join(failed)),
        custom_fields.POLICY: field_text(", ".join(f"{name} {version}" for name, version in sorted(policies.items()))),
        custom_fields.JUDGED_AT: judged_at.astimezone(UTC).date().isoformat() if judged_at else None,
        custom_fields.DEPLOYMENT: field_text(state.record.deployment_status),
    }
