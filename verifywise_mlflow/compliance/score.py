"""The compliance score: one number for a tenant, with its formula."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.verdict import Verdict

SEVERITY_WEIGHTS: Final[Mapping[Severity, int]] = {
    Severity.LOW: 1,
    Severity.MEDIUM: 2,
    Severity.HIGH: 4,
    Severity.CRITICAL: 8,
}
"""The weight of a verdict by the severity of its rule."""

SCORE_RULE: Final = (
    "The weight of the verdicts 'pass' as a percentage of the weight of all verdicts but 'not applicable', rounded "
    "down, over the versions that exist in MLflow and are not archived. A verdict weighs by the severity of its rule: "
    f"{', '.join(f'{severity} {weight}' for severity, weight in SEVERITY_WEIGHTS.items())}. 'not evidenced', "
    "'not read', 'error' and waived gaps count as not passed."
)


def score(verdicts: Iterable[tuple[Severity, Mapping[str, int]]]) -> float | None:
    """Return the score by ``SCORE_RULE``; 100 means that there is evidence for every applicable requirement.

    The score is None if no rule is applicable: without a requirement, there is nothing to show.

    Args:
        verdicts: for each rule, the severity, and the number of versions by verdict.
    """
    passed = applicable = 0
    for severity, counts in verdicts:
        weight = SEVERITY_WEIGHTS[severity]
        passed += weight * counts.get(Verdict.PASS, 0)
        applicable += weight * sum(count for verdict, count in counts.items() if verdict != Verdict.NOT_APPLICABLE)
    return 10_000 * passed // applicable / 100 if applicable else None
