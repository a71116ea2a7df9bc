"""The badge of a version or of a model, with the versions and verdicts that it is derived from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from verifywise_mlflow.compliance.badge import MODEL_RULE, VERSION_RULE, Badge, model_badge
from verifywise_mlflow.compliance.badge_svg import badge_svg
from verifywise_mlflow.persistence.repositories import badges
from verifywise_mlflow.persistence.session import TenantSession


@dataclass(frozen=True, slots=True)
class BadgeReport:
    """A badge and the versions and verdicts that it is derived from."""

    tenant: str
    model_name: str
    version_number: int | None
    """Null for the badge of the model."""
    badge: Badge
    rule: str
    """The rule that derives the badge, in a sentence."""
    selection_reason: str | None
    """Why these versions count; null for the badge of a version."""
    counted_versions: tuple[int, ...]
    verdicts: Mapping[str, int]
    waived_gaps: Mapping[str, int]
    """The number of gaps that a waiver covers, by rule ID. Waivers do not change the badge."""
    badge_since: datetime | None
    """Since when a version has had this badge; null for the badge of a model."""
    evaluated_at: datetime | None
    """The earliest of the times at which the versions were last evaluated."""
    deleted_at: datetime | None
    """Since when MLflow no longer has the version; null while it exists, and for the badge of a model."""

    def svg(self) -> str:
        """Return the badge as an SVG image."""
        number = f" v{self.version_number}" if self.version_number is not None else ""
        return badge_svg(f"{self.model_name}{number}", self.badge, sum(self.waived_gaps.values()), rule=self.rule)

    def to_json(self) -> dict[str, object]:
        """Return the object that ``badge --format json`` prints. Its keys are an interface."""
        return {
            "tenant": self.tenant,
            "model_name": self.model_name,
            "version_number": self.version_number,
            "badge": self.badge,
            "rule": self.rule,
            "because": self.selection_reason,
            "counted_versions": self.counted_versions,
            "verdicts": self.verdicts,
            "waived": self.waived_gaps,
            "since": self.badge_since,
            "evaluated_at": self.evaluated_at,
            "gone_at": self.deleted_at,
        }


def badge_report(
    session: TenantSession, model_name: str, version_number: int | None, at: datetime
) -> BadgeReport | None:
    """Return the badge of a version or of a model; None for a version without a badge, or a model without versions.

    ``at`` is the current time: waivers that have expired by then do not count.
    """
    versions = {version.judged.version_number: version for version in badges.badged_versions(session, model_name)}
    version = None
    if version_number is None:
        of_model = model_badge([version.judged for version in versions.values() if version.deleted_at is None])
        if of_model is None:
            return None
        badge, rule = of_model.badge, MODEL_RULE
        counted, selection_reason = of_model.version_numbers, of_model.selected_because
    else:
        version = versions.get(version_number)
        if version is None or version.judged.badge is None:
            return None
        badge, rule = version.judged.badge, VERSION_RULE
        counted, selection_reason = (version_number,), None
    tally = badges.verdict_tally(session, [(model_name, number) for number in counted], at)
    evaluation_times = [time for number in counted if (time := versions[number].evaluated_at)]
    return BadgeReport(
        tenant=session.tenant_id,
        model_name=model_name,
        version_number=version_number,
        badge=badge,
        rule=rule,
        selection_reason=selection_reason,
        counted_versions=counted,
        verdicts=tally.verdicts,
        waived_gaps=tally.waived,
        badge_since=version.changed_at if version else None,
        evaluated_at=min(evaluation_times) if evaluation_times else None,
        deleted_at=version.deleted_at if version else None,
    )
