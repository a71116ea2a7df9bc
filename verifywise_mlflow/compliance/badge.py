"""The badge: one word for a model version, and one for a registered model made from the badges of its versions.

Badges are stored. After a change here, increase ``EVALUATION_REVISION`` in ``evaluation.py``: otherwise stored badges
stay as they are until the record or the policy changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, Protocol, TypeAlias

from verifywise_mlflow.compliance.verdict import Verdict


class Badge(StrEnum):
    """One word for a model version. No word claims that a model is compliant: people decide that."""

    EVIDENCE_COMPLETE = "evidence complete"
    GAPS = "gaps"
    FAILING = "failing"
    INCOMPLETE = "incomplete"


BADGE_WORDS: Final = " or ".join(", ".join(Badge).rsplit(", ", 1))
"""All words, as a phrase for descriptions."""

BadgeTone: TypeAlias = Literal["good", "warning", "bad"]
BADGE_TONES: Final[Mapping[str, BadgeTone]] = {
    Badge.EVIDENCE_COMPLETE: "good",
    Badge.GAPS: "warning",
    Badge.FAILING: "bad",
    Badge.INCOMPLETE: "warning",
}
"""How each badge is emphasized. Each output chooses its colors of the tones."""

VERSION_RULE: Final = (
    "failing if a rule failed; else incomplete if the record could not be read completely or a rule could not be "
    "evaluated; else gaps if a rule lacks evidence; else evidence complete. Waivers do not change it."
)
MODEL_RULE: Final = (
    "the worst badge of the versions that count: failing, then incomplete, then gaps, then evidence complete. "
    "All versions in production count; if there are none, the newest version that is not archived; if all are "
    "archived, the newest. Versions that were deleted from MLflow do not count, and a version that was not evaluated "
    "counts as incomplete."
)

WORST_FIRST: Final = (Badge.FAILING, Badge.INCOMPLETE, Badge.GAPS, Badge.EVIDENCE_COMPLETE)


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
    """Return the worst of some badges, at least one."""
    return next(badge for badge in WORST_FIRST if badge in badges)


@dataclass(frozen=True, slots=True)
class EvaluatedVersion:
    """A version of a model that exists in MLflow, with its badge."""

    version_number: int
    lifecycle_stage: str | None
    badge: Badge | None
    """None: not evaluated yet."""


SelectionReason: TypeAlias = Literal["in production", "newest that is not archived", "newest; all are archived"]


@dataclass(frozen=True, slots=True)
class ModelBadge:
    """A model's badge, the versions that count for it, and why these count."""

    badge: Badge
    version_numbers: tuple[int, ...]
    selected_because: SelectionReason


def model_badge(versions: Sequence[EvaluatedVersion]) -> ModelBadge | None:
    """Return the badge of a model by ``MODEL_RULE``; None for a model without existing versions."""
    if not versions:
        return None
    newest_first = sorted(versions, key=lambda version: -version.version_number)
    reason: SelectionReason = "in production"
    selected = [version for version in newest_first if version.lifecycle_stage == "production"]
    if not selected:
        reason = "newest that is not archived"
        selected = [version for version in newest_first if version.lifecycle_stage != "archived"][:1]
    if not selected:
        reason = "newest; all are archived"
        selected = newest_first[:1]
    worst = worst_badge({version.badge or Badge.INCOMPLETE for version in selected})
    return ModelBadge(worst, tuple(version.version_number for version in selected), reason)
