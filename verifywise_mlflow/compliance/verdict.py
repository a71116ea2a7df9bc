"""What a rule says about a record, and what a record's rules say together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Protocol

from verifywise_mlflow.normalizer.record import Json


class Verdict(StrEnum):
    """The answer of one rule for one model version.

    A missing value is ``not evidenced``, never a failure: MLflow not showing something does not
    prove that it was not done.
    """

    PASS = "pass"  # noqa: S105  # a verdict, no password
    FAIL = "fail"
    NOT_EVIDENCED = "not evidenced"
    NOT_APPLICABLE = "not applicable"
    ERROR = "error"


class Badge(StrEnum):
    """One word for a model version."""

    COMPLIANT = "compliant"
    GAPS = "gaps"
    NON_COMPLIANT = "non-compliant"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule's verdict on one record, and all that it rests on."""

    rule_id: str
    rule_version: int
    verdict: Verdict
    reason: str
    """One sentence for people."""
    values_json: str
    """``values`` in canonical JSON, as they were hashed."""
    origins_json: str = "{}"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """The figures that the rule compared with."""
    day: date | None = None
    """The day of the evaluation, UTC, where the rule looks at it."""
    input_hash: str = ""
    """What the verdict follows from: see ``seen_values``."""

    @property
    def values(self) -> dict[str, Json]:
        """What the rule looked at, by path, as it stood there; of a long one its digest and size."""
        values: dict[str, Json] = json.loads(self.values_json)
        return values

    @property
    def origins(self) -> dict[str, dict[str, Json]]:
        """Where the values came from: field to ``{source, key}``."""
        origins: dict[str, dict[str, Json]] = json.loads(self.origins_json)
        return origins


class HasVerdict(Protocol):
    """Something with a verdict."""

    @property
    def verdict(self) -> Verdict:
        """The verdict."""


def badge(results: Iterable[HasVerdict], *, complete: bool) -> Badge:
    """Fold a record's verdicts into one badge; the worst counts.

    A failed rule outweighs everything, since it rests on what was read. A record that could not be
    read completely, or a rule that could not be evaluated, is ``incomplete`` before its gaps are
    counted: they may close once it is read.
    """
    verdicts = {result.verdict for result in results}
    if Verdict.FAIL in verdicts:
        return Badge.NON_COMPLIANT
    if Verdict.ERROR in verdicts or not complete:
        return Badge.INCOMPLETE
    if Verdict.NOT_EVIDENCED in verdicts:
        return Badge.GAPS
    return Badge.COMPLIANT
