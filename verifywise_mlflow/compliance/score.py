"""The compliance score: one figure for a tenant, honest about what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Final

from verifywise_mlflow.compliance.verdict import Verdict

SCORE_RULE: Final = (
    "Of the verdicts on versions that MLflow shows, without those that are not applicable, how many in a hundred are "
    "'pass'. What is not evidenced and what could not be evaluated counts as not passed, and so does a gap that is "
    "waived. Rules weigh alike, whatever their severity."
)


def score(verdicts: Mapping[str, int]) -> float | None:
    """Return how many in a hundred applicable verdicts pass, rounded down: 100 is said of no gap alone.

    None where nothing applies: that nothing was asked shows nothing.
    """
    applicable = sum(count for verdict, count in verdicts.items() if verdict != Verdict.NOT_APPLICABLE)
    return floor(10_000 * verdicts.get(Verdict.PASS, 0) / applicable) / 100 if applicable else None
