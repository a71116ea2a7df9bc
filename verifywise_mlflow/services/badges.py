"""The badge of a version or of a model, for other systems to show."""

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
    """A badge with what it is made of."""

    tenant: str
    model_name: str
    version_number: int | None
    """Null: of the model."""
    badge: Badge
    rule: str
    """How the badge comes about, in a sentence."""
    because: str | None
    """Of a model, why these versions count."""
    counted_versions: tuple[int, ...]
    verdicts: Mapping[str, int]
    waived: Mapping[str, int]
    """Rule's id to how many of its open gaps are waived; the badge is the same with them and without."""
    since: datetime | None
    """Of a version, since when it has had this badge."""
    evaluated_at: datetime | None
    """When that was judged last; of several versions, the earliest."""
    deleted_at: datetime | None
    """Of a version, since when MLflow does not show it any more."""

    def svg(self) -> str:
        """Return it as a picture."""
        number = f" v{self.version_number}" if self.version_number is not None else ""
        return badge_svg(f"{self.model_name}{number}", self.badge, sum(self.waived.values()))


def badge_report(
    session: TenantSession, model_name: str, version_number: int | None, at: datetime
) -> BadgeReport | None:
    """Return the badge of a version, or of a model; None where nothing was judged that it could be made of.

    ``at`` is now: waivers that have expired by then do not count.
    """
    versions = {one.judged.version_number: one for one in badges.badged_versions(session, model_name)}
    if version_number is None:
        found = model_badge([one.judged for one in versions.values() if one.deleted_at is None])
        if found is None:
            return None
        word, counted, because, rule = found.badge, found.version_numbers, found.selected_because, MODEL_RULE
    else:
        one = versions.get(version_number)
        if one is None or one.judged.badge is None:
            return None
        word, counted, because, rule = one.judged.badge, (version_number,), None, VERSION_RULE
    tally = badges.tally(session, [(model_name, number) for number in counted], at)
    times = [time for number in counted if (time := versions[number].evaluated_at)]
    of_version = versions[version_number] if version_number is not None else None
    return BadgeReport(
        tenant=session.tenant_id,
        model_name=model_name,
        version_number=version_number,
        badge=word,
        rule=rule,
        because=because,
        counted_versions=counted,
        verdicts=tally.verdicts,
        waived=tally.waived,
        since=of_version.changed_at if of_version else None,
        evaluated_at=min(times) if times else None,
        deleted_at=of_version.deleted_at if of_version else None,
    )
