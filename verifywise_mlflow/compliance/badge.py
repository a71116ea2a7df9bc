"""One word for a registered model, out of those for its versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from verifywise_mlflow.compliance.verdict import Badge

VERSION_RULE: Final = (
    "non-compliant if a rule failed; else incomplete if the record could not be read completely or a rule could not be "
    "evaluated; else gaps if a rule lacks evidence; else compliant. Waivers change nothing in it."
)
MODEL_RULE: Final = (
    "the worst badge of the versions that count: non-compliant, then incomplete, then gaps, then compliant. Those in "
    "production count; where none is, the newest one that is not archived; where all are archived, the newest. "
    "Versions that are gone from MLflow do not count, and one that was not judged counts as incomplete."
)

_WORST_FIRST = (Badge.NON_COMPLIANT, Badge.INCOMPLETE, Badge.GAPS, Badge.COMPLIANT)


@dataclass(frozen=True, slots=True)
class JudgedVersion:
    """A living version of a model."""

    version_number: int
    lifecycle_stage: str | None
    badge: Badge | None
    """Null: not judged yet."""


@dataclass(frozen=True, slots=True)
class ModelBadge:
    """A model's badge, and which versions made it."""

    badge: Badge
    counted: tuple[int, ...]
    because: Literal["in production", "newest that is not archived", "newest; all are archived"]


def model_badge(versions: Sequence[JudgedVersion]) -> ModelBadge | None:
    """Return the badge of a model by ``MODEL_RULE``; None for one without living versions."""
    if not versions:
        return None
    newest_first = sorted(versions, key=lambda version: -version.version_number)
    because: Literal["in production", "newest that is not archived", "newest; all are archived"] = "in production"
    counted = [version for version in newest_first if version.lifecycle_stage == "production"]
    if not counted:
        because = "newest that is not archived"
        counted = [version for version in newest_first if version.lifecycle_stage != "archived"][:1]
    if not counted:
        because = "newest; all are archived"
        counted = newest_first[:1]
    badges = {version.badge or Badge.INCOMPLETE for version in counted}
    worst = next(badge for badge in _WORST_FIRST if badge in badges)
    return ModelBadge(worst, tuple(version.version_number for version in counted), because)
