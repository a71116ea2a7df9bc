"""The badge: one word for a model version. The badge of a registered model follows from the badges of its versions.

Badges are stored. If you change the words or how they are derived, increase ``EVALUATION_REVISION`` in
``evaluation.py``. Otherwise, stored badges stay as they are until the record or the policy changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, Protocol, TypeAlias

from verifywise_mlflow.compliance.rules.versions_in_use import PRODUCTION
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.record import STATUSES_IN_USE


class Badge(StrEnum):
    """One word for a model version. No word claims that a model is compliant: people decide that."""

    EVIDENCE_COMPLETE = "evidence complete"
    GAPS = "gaps"
    FAILING = "failing"
    INCOMPLETE = "incomplete"


BADGE_WORDS: Final = " or ".join(", ".join(Badge).rsplit(", ", 1))
"""All words, as a phrase for descriptions."""

BadgeTone: TypeAlias = Literal["good", "warning", "bad"]


@dataclass(frozen=True, slots=True)
class BadgeMeaning:
    """The meaning of a badge for people, and its appearance."""

    sentence: str
    """The meaning for one version."""
    of_models: str
    """The words after a number of models with this badge: ``3 with gaps``."""
    tone: BadgeTone
    """The emphasis. Each output has its own color for each tone."""
    color: str
    """The color of the badge's image. White text on this color has a contrast above 4.5, as WCAG 2.2 requires of small
    text."""


BADGE_MEANINGS: Final[Mapping[str, BadgeMeaning]] = {
    Badge.FAILING: BadgeMeaning(
        "What MLflow shows contradicts at least one rule.", "failing at least one rule", "bad", "#b3261e"
    ),
    Badge.INCOMPLETE: BadgeMeaning(
        "Something could not be read or evaluated, so no conclusion is drawn about the rest.",
        "not read completely",
        "warning",
        "#5b6570",
    ),
    Badge.GAPS: BadgeMeaning(
        "No rule is contradicted, but MLflow does not show all that the rules require.",
        "with gaps",
        "warning",
        "#8a6100",
    ),
    Badge.EVIDENCE_COMPLETE: BadgeMeaning(
        "MLflow shows what each rule requires. That is no statement that the model complies with any law: people "
        "decide that.",
        "with complete evidence",
        "good",
        "#2a7d3f",
    ),
}
"""The meaning of each badge, the worst badge first."""
WORST_FIRST: Final = tuple(map(Badge, BADGE_MEANINGS))

VERSION_RULE: Final = (
    "failing if a rule failed; else incomplete if the record could not be read completely or a rule could not be "
    "evaluated; else gaps if a rule lacks evidence; else evidence complete. Waivers do not change it."
)
MODEL_RULE: Final = (
    "the worst badge of the versions that count: failing, then incomplete, then gaps, then evidence complete. "
    "All versions that are in production or deployed at least in part count; if there are none, the newest version "
    "that is not archived; if all are archived, the newest. Versions that were deleted from MLflow do not count, and a "
    "version that was not evaluated counts as incomplete."
)


class HasVerdict(Protocol):
    """Anything with a verdict."""

    @property
    def verdict(self) -> Verdict:
        """The verdict."""


def version_badge(results: Iterable[HasVerdict], *, complete: bool) -> Badge:
    """Return the badge of a version by ``VERSION_RULE``: the worst verdict counts.

    A failed rule outweighs everything, because it rests on values that were read. A record that could not be read
    completely, or a rule that could not be evaluated, makes the badge ``incomplete`` before gaps are counted: the gaps
    may close once the record is read.
    """
    verdicts = {result.verdict for result in results}
    if Verdict.FAIL in verdicts:
        return Badge.FAILING
    if not complete or verdicts & {Verdict.ERROR, Verdict.NOT_READ}:
        return Badge.INCOMPLETE
    if Verdict.NOT_EVIDENCED in verdicts:
        return Badge.GAPS
    return Badge.EVIDENCE_COMPLETE


def worst_badge(badges: Collection[Badge]) -> Badge:
    """Return the worst badge. There must be at least one badge."""
    return next(badge for badge in WORST_FIRST if badge in badges)


@dataclass(frozen=True, slots=True)
class EvaluatedVersion:
    """A version of a model that exists in MLflow, with its badge."""

    version_number: int
    lifecycle_stage: str | None
    deployment_status: str | None
    badge: Badge | None
    """The badge; None if the version was not evaluated yet."""

    @property
    def serves_users(self) -> bool:
        """Whether the version is in production, or deployed at least in part. A registry without stages has only the
        deployment status."""
        return self.lifecycle_stage == PRODUCTION or self.deployment_status in STATUSES_IN_USE


SelectionReason: TypeAlias = Literal[
    "in production or deployed", "newest that is not archived", "newest; all are archived"
]


@dataclass(frozen=True, slots=True)
class ModelBadge:
    """A model's badge, the versions that count for the badge, and why these versions count."""

    badge: Badge
    version_numbers: tuple[int, ...]
    selected_because: SelectionReason

    @property
    def serves_users(self) -> bool:
        """Whether a version of the model is in production or deployed at least in part."""
        return self.selected_because == "in production or deployed"


def model_badge(versions: Sequence[EvaluatedVersion]) -> ModelBadge | None:
    """Return the badge of a model by ``MODEL_RULE``; None for a model without existing versions."""
    if not versions:
        return None
    newest_first = sorted(versions, key=lambda version: -version.version_number)
    reason: SelectionReason = "in production or deployed"
    selected = [version for version in newest_first if version.serves_users]
    if not selected:
        reason = "newest that is not archived"
        selected = [version for version in newest_first if version.lifecycle_stage != "archived"][:1]
    if not selected:
        reason = "newest; all are archived"
        selected = newest_first[:1]
    worst = worst_badge({version.badge or Badge.INCOMPLETE for version in selected})
    return ModelBadge(worst, tuple(version.version_number for version in selected), reason)
