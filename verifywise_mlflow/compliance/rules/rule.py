"""A governance rule as a value: what it asks, why, by which clause, and the examples that are its test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_validator,
)

from verifywise_mlflow.compliance.frameworks import Confidence, FrameworkName, Obtainable, catalogue
from verifywise_mlflow.compliance.rules.cel_expression import compiled
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.findings import FindingKind
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

    framework: FrameworkName
    clause: Sentence
    """By its number in the catalogue."""
    confidence: Confidence
    """How sure we are that the clause asks for what the rule looks at."""
    applicable_from: date | None = None
    """The catalogue's date unless the rule states another; null for what is followed by choice."""
    source: Sentence | None = None
    """Where ``applicable_from`` was read."""

    @model_validator(mode="before")
    @classmethod
    def _is_dated_by_the_catalogue(cls, written: object) -> object:
        if not isinstance(written, Mapping) or "applicable_from" in written or "source" in written:
            return written
        framework = catalogue().get(written.get("framework"))  # type: ignore[arg-type]  # another word finds none
        clause = framework.by_id.get(str(written.get("clause"))) if framework else None
        application = framework.application_of(clause) if framework and clause else None
        return {**written, **application.model_dump()} if application else written

    @field_validator("clause")
    @classmethod
    def _is_in_the_catalogue(cls, number: str, info: ValidationInfo) -> str:
        framework = catalogue().get(info.data.get("framework"))  # type: ignore[arg-type]  # absent where it is wrong
        if framework is None:
            return number
        clause = framework.by_id.get(number)
        if clause is None:
            raise ValueError(f"the catalogue has no clause {number!r} of {framework.name}")
        if clause.obtainable is Obtainable.NOT_OBTAINABLE:
            raise ValueError(f"MLflow shows nothing of {framework.name} {number}: {clause.blank}")
        return number

    @model_validator(mode="after")
    def _gives_the_source_of_its_date(self) -> Reference:
        if self.applicable_from and not self.source:
            raise ValueError("say in source where applicable_from was read")
        return self


class ExampleFinding(Part):
    """Something that looks wrong."""

    kind: FindingKind
    field: RecordField | None = None
    sentence: Sentence = "Something looks wrong."


class Example(Part):
    """A record, as far as it matters, what else is known of it, and the verdict that the rule has to give on it."""

    record: Mapping[RecordField, JsonValue | datetime] = Field(default_factory=dict)
    findings: tuple[ExampleFinding, ...] = ()
    incomplete: tuple[Sentence, ...] = ()
    """What could not be read."""
    today: date | None = None
    """The day of the evaluation; without one, what hangs on the day is not known."""
    verdict: Verdict

    def canonical_record(self) -> CanonicalRecord:
        """Return the record with every field that the example does not give at null."""
        shown = {**dict.fromkeys(FIELDS), "model_name": "example", "version_number": 1, **self.record}
        return CanonicalRecord(**shown)  # type: ignore[arg-type]  # a value of a wrong type earns the verdict ``error``

    def subject(self) -> Subject:
        """Return the record with what else is known of it, but for the day."""
        return Subject(self.canonical_record(), self.incomplete, [one.model_dump() for one in self.findings])


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
