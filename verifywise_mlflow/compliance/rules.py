"""A governance rule as a value: what it asks, why, by which clause, and the examples that are its test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from verifywise_mlflow.compliance.expressions import compiled
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord


class Severity(StrEnum):
    """How much a gap matters, the least first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


def _compilable(text: str) -> str:
    compiled(text)
    return text


def _field_of_a_record(name: str) -> str:
    if name not in FIELDS:
        raise ValueError(f"a record has no field {name!r}")
    return name


Cel = Annotated[str, AfterValidator(_compilable)]
"""A CEL expression over the fields of a record, true or false."""
Sentence = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
RecordField = Annotated[str, AfterValidator(_field_of_a_record)]


class Part(BaseModel):
    """A part of a policy file: nothing in it changes, and nothing in the file goes unread."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reference(Part):
    """A clause that a rule gives evidence for. No claim that the clause is met by it."""

    framework: Literal["EU AI Act", "GDPR", "ISO/IEC 42001", "NIST AI RMF"]
    clause: Sentence
    confidence: Literal["high", "medium", "low"]
    """How sure we are that the clause asks for what the rule looks at."""
    applicable_from: date | None = None
    """Null for standards and frameworks that are followed by choice."""
    source: Sentence | None = None
    """Where ``applicable_from`` was read."""

    @model_validator(mode="after")
    def _gives_the_source_of_its_date(self) -> Reference:
        if self.applicable_from and not self.source:
            raise ValueError("say in source where applicable_from was read")
        return self


class Example(Part):
    """A record, as far as it matters, and the verdict that the rule has to give on it."""

    record: Mapping[RecordField, JsonValue | datetime]
    verdict: Verdict

    def canonical_record(self) -> CanonicalRecord:
        """Return the record with every field that the example does not give at null."""
        shown = {**dict.fromkeys(FIELDS), "model_name": "example", "version_number": 1, **self.record}
        return CanonicalRecord(**shown)  # type: ignore[arg-type]  # a value of a wrong type earns the verdict ``error``


class Rule(Part):
    """One rule. ``requires`` is judged where ``applies`` holds and ``evidenced`` does not say otherwise."""

    id: Identifier
    version: int = Field(ge=1)
    """Raised with each change that can change a verdict."""
    title: Sentence
    """What holds where the rule is met."""
    severity: Severity
    rationale: Sentence
    remedy: Sentence
    applies: Cel = "true"
    """Which versions the rule is about."""
    evidenced: Cel = "true"
    """Whether what MLflow shows settles the matter. Where it does not, the rule neither passes nor fails."""
    requires: Cel
    references: tuple[Reference, ...] = Field(min_length=1)
    examples: tuple[Example, ...] = ()
    """The rule's test."""
