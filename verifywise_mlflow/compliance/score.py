"""The compliance score: one number for a tenant, with its formula."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Final

from verifywise_mlflow.compliance.verdict import Verdict

SCORE_RULE: Final = (
    "The percentage of 'pass' among the verdicts on versions that exist in MLflow, leaving out 'not applicable'. "
    "'not evidenced', 'error' and waived gaps count as not passed. All rules have the same weight, regardless of "
    "severity."
)


def score(verdicts: Mapping[str, int]) -> float | None:
    """Return the percentage of applicable verdicts that pass, rounded down, so that 100 means that there is no gap.

    None if no verdict is applicable: without a requirement, nothing is shown.
    """
    applicable = sum(count for verdict, count in verdicts.items() if verdict != Verdict.NOT_APPLICABLE)
    return floor(10_000 * verdicts.get(Verdict.PASS, 0) / applicable) / 100 if applicable else None
