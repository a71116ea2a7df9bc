"""A governance rule as a value: what it requires and why, its clauses, its sentences, and the examples that test it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
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

from verifywise_mlflow.compliance.frameworks import Confidence, FrameworkName, Obtainable, catalog
from verifywise_mlflow.compliance.rules.cel_expression import compile_expression, compile_value
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.reason_template import (
    ReasonCase,
    SentenceTemplate,
    parse_sentence,
    paths_not_read,
)
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.findings import FindingKind
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord, SourceKind, ValueState

EXPRESSION_FIELDS = ("applies", "evidenced", "requires")
"""The fields of a rule that are CEL conditions."""


class Severity(StrEnum):
    """The severity of a gap, lowest first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


def _compiles(text: str) -> str:
    compile_expression(text)
    return text


def _compiles_to_value(text: str) -> str:
    compile_value(text)
    return text


def _is_record_field(name: str) -> str:
    if name not in FIELDS:
        raise ValueError(f"a record has no field {name!r}")
    return name


CelCondition = Annotated[str, AfterValidator(_compiles)]
"""A CEL expression over the fields of a record, true or false."""
CelValueText = Annotated[str, AfterValidator(_compiles_to_value)]
"""A CEL expression over the fields of a record that gives any value."""
Sentence = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
ValueName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
RecordField = Annotated[str, AfterValidator(_is_record_field)]


class PolicySection(BaseModel):
    """A section of a policy file. It is immutable, and unknown keys are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reference(PolicySection):
    """A clause that a rule gives evidence for. It does not claim that the clause is met."""

    framework: FrameworkName
    clause: Sentence
    """The clause's number in the catalog."""
    confidence: Confidence
    """The confidence that the clause requires what the rule checks."""
    applicable_from: date | None = None
    """The catalog's date unless the rule states another; null for a voluntary clause."""
    source: Sentence | None = None
    """The source of ``applicable_from``."""

    @model_validator(mode="before")
    @classmethod
    def _take_date_from_catalog(cls, raw: object) -> object:
        if not isinstance(raw, Mapping) or "applicable_from" in raw or "source" in raw:
            return raw
        framework = catalog().get(raw.get("framework"))  # type: ignore[arg-type]  # an unknown name returns None
        clause = framework.by_id.get(str(raw.get("clause"))) if framework else None
        application = framework.application_date_of(clause) if framework and clause else None
        return {**raw, **application.model_dump()} if application else raw

    @field_validator("clause")
    @classmethod
    def _is_in_catalog(cls, number: str, info: ValidationInfo) -> str:
        framework = catalog().get(info.data.get("framework"))  # type: ignore[arg-type]  # missing if it is invalid
        if framework is None:
            return number
        clause = framework.by_id.get(number)
        if clause is None:
            raise ValueError(f"the catalog has no clause {number!r} of {framework.name}")
        if clause.obtainable is Obtainable.NOT_OBTAINABLE:
            raise ValueError(f"MLflow shows nothing of {framework.name} {number}: {clause.blank}")
        return number

    @model_validator(mode="after")
    def _has_source_of_date(self) -> Reference:
        if self.applicable_from and not self.source:
            raise ValueError("applicable_from has no source: name in source where the date was published")
        return self


class ExampleFinding(PolicySection):
    """A finding: something that was read but looks wrong."""

    kind: FindingKind
    field: RecordField | None = None
    sentence: Sentence = "Something looks wrong."
    count: int = Field(default=1, ge=1)
    """How many findings the entry stands for."""


class ExampleOrigin(PolicySection):
    """The provenance of a field's text."""

    source: SourceKind = "version tag"
    key: Sentence = "example"
    raw: str = "example"
    dated: str | None = None
    state: ValueState | None = None


class Example(PolicySection):
    """A record, reduced to the fields that matter, its context, and the verdict that the rule must give on it."""

    record: Mapping[RecordField, JsonValue | datetime] = Field(default_factory=dict)
    findings: tuple[ExampleFinding, ...] = ()
    origins: Mapping[RecordField, ExampleOrigin] = Field(default_factory=dict)
    incomplete: tuple[Sentence, ...] = ()
    """The parts of the record that could not be read."""
    today: date | None = None
    """The day of the evaluation; without it, everything that depends on the day is unknown."""
    verdict: Verdict

    def canonical_record(self) -> CanonicalRecord:
        """Return the record, with null in every field that the example leaves out."""
        fields = {**dict.fromkeys(FIELDS), "model_name": "example", "version_number": 1, **self.record}
        return CanonicalRecord(**fields)  # type: ignore[arg-type]  # a value of a wrong type leads to ``error``

    def subject(self) -> Subject:
        """Return the record with its context, except the day."""
        return Subject(
            self.canonical_record(),
            self.incomplete,
            [finding.model_dump() for finding in self.findings],
            {field: origin.model_dump() for field, origin in self.origins.items()},
        )


class ReasonSentence(PolicySection):
    """A sentence of a reason, shown only where its condition holds."""

    text: Sentence
    when: Sentence | None = None
    """A named value of the rule, or a CEL expression over what the rule reads; null: always shown."""


Reason = Sentence | tuple[Sentence | ReasonSentence, ...]
"""A sentence, or several of which some depend on a condition."""


class Rule(PolicySection):
    """One rule. ``requires`` decides the verdict if ``applies`` and ``evidenced`` are true."""

    id: Identifier
    version: int = Field(ge=1)
    """Raised with each change that can change a verdict."""
    title: Sentence
    """The requirement, as a sentence."""
    severity: Severity
    rationale: Sentence
    remedy: Sentence
    applies: CelCondition = "true"
    """Which versions the rule applies to."""
    evidenced: CelCondition = "true"
    """Whether the values that MLflow shows suffice to pass or fail. If not, the verdict is ``not evidenced``."""
    requires: CelCondition
    reason_values: Mapping[ValueName, CelValueText] = Field(default_factory=dict)
    """Named values that the sentences in ``reasons`` quote."""
    reasons: Mapping[ReasonCase, Reason] = Field(default_factory=dict)
    """Outcome to the sentences that explain it to a governance officer; missing ones are generated."""
    references: tuple[Reference, ...] = Field(min_length=1)
    examples: tuple[Example, ...] = ()
    """The rule's test."""

    @field_validator("reasons")
    @classmethod
    def _quote_only_what_the_rule_reads(
        cls, reasons: Mapping[ReasonCase, Reason], info: ValidationInfo
    ) -> Mapping[ReasonCase, Reason]:
        data = info.data
        if not {*EXPRESSION_FIELDS, "reason_values"} <= data.keys():
            return reasons  # the error in one of these fields is reported already
        values: Mapping[str, str] = data["reason_values"]
        read = [path for field in EXPRESSION_FIELDS for path in compile_expression(data[field]).paths]
        for case, reason in reasons.items():
            try:
                templates = _templates(reason, values)
            except ValueError as error:
                raise ValueError(f"{case.value}: {error}") from error
            for expression in (expression for template in templates for expression in template.expressions):
                if unread := paths_not_read(expression, read):
                    message = (
                        f"{case.value}: the rule does not read {', '.join(unread)}: quote only values that it reads"
                    )
                    raise ValueError(message)
        sentences = [sentence for reason in reasons.values() for sentence in _sentences(reason)]
        if unused := [
            name
            for name in values
            if not any(f"{{{name}}}" in sentence.text or name == sentence.when for sentence in sentences)
        ]:
            raise ValueError(f"no sentence quotes the value {unused[0]!r} of reason_values: quote or remove it")
        return reasons

    @cached_property
    def may_be_costly(self) -> bool:
        """Whether an evaluation may cost more than reading the values that the rule names."""
        return any(compile_expression(getattr(self, field)).may_be_costly for field in EXPRESSION_FIELDS) or any(
            expression.may_be_costly
            for templates in self.reason_templates.values()
            for template in templates
            for expression in template.expressions
        )

    @cached_property
    def reason_templates(self) -> Mapping[ReasonCase, tuple[SentenceTemplate, ...]]:
        """The sentences of ``reasons``, parsed."""
        return {case: _templates(reason, self.reason_values) for case, reason in self.reasons.items()}


def _sentences(reason: Reason) -> tuple[ReasonSentence, ...]:
    sentences = (reason,) if isinstance(reason, str) else reason
    return tuple(ReasonSentence(text=sentence) if isinstance(sentence, str) else sentence for sentence in sentences)


def _templates(reason: Reason, values: Mapping[str, str]) -> tuple[SentenceTemplate, ...]:
    return tuple(parse_sentence(sentence.text, values, sentence.when) for sentence in _sentences(reason))
