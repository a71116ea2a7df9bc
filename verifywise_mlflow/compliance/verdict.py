"""The verdict of one rule on one record, and the result that is stored with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple, Protocol

from verifywise_mlflow.common.json_value import Json


class Verdict(StrEnum):
    """The outcome of one rule for one model version.

    A missing value is ``not evidenced``, never a failure: something that MLflow does not show may still have been done.
    If an object that may show the value could not be read, the verdict is ``not read``. ``not read`` is not counted as
    a gap: the badge reports that the record is incomplete.
    """

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    FAIL = "fail"
    NOT_EVIDENCED = "not evidenced"
    NOT_READ = "not read"
    NOT_APPLICABLE = "not applicable"
    ERROR = "error"

    __hash__ = str.__hash__  # faster: the hash of enumerations is a Python function


class RuleResult(NamedTuple):
    """One rule's verdict on one record, with the evidence that it is based on."""

    rule_id: str
    rule_version: int
    verdict: Verdict
    reason: str
    """What was found, what was expected and what to do, for governance officers."""
    values_json: str
    """The canonical JSON of ``values`` that was hashed."""
    origins_json: str = "{}"
    thresholds_json: str = "{}"
    day: date | None = None
    """The day of the evaluation, UTC, if the rule reads ``today``."""
    input_hash: str = ""
    """The hash of everything that determines the verdict: see ``input_hash.py``."""

    @property
    def values(self) -> dict[str, Json]:
        """The values that the rule read, by path, in the record's form. For a long value: the digest and the size."""
        values: dict[str, Json] = json.loads(self.values_json)
        return values

    @property
    def origins(self) -> dict[str, dict[str, Json]]:
        """The provenance of the values: field to ``{source, key}``, and for no value also ``raw`` and ``state``."""
        origins: dict[str, dict[str, Json]] = json.loads(self.origins_json)
        return origins

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds that the rule compared with."""
        thresholds: dict[str, float] = json.loads(self.thresholds_json)
        return thresholds


class EvaluatedRule(Protocol):
    """The verdict of a rule on a record. The parts that only a changed verdict needs are computed on demand."""

    @property
    def rule_id(self) -> str:
        """The ID of the rule."""

    @property
    def verdict(self) -> Verdict:
        """The verdict."""

    def fingerprint(self) -> str:
        """Return a hash of the verdict: an equal verdict is not written again."""

    def result(self) -> RuleResult:
        """Return the verdict with its inputs."""


@dataclass(frozen=True, slots=True)
class CompleteVerdict:
    """A verdict with a complete result."""

    complete_result: RuleResult
    given_fingerprint: str

    @property
    def rule_id(self) -> str:
        """The ID of the rule."""
        return self.complete_result.rule_id

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self.complete_result.verdict

    def fingerprint(self) -> str:
        """Return the hash of the verdict."""
        return self.given_fingerprint

    def result(self) -> RuleResult:
        """Return the verdict with its inputs."""
        return self.complete_result
