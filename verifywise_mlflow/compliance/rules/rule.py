"""A governance rule as a value: the requirement and its rationale, the clauses, the sentences, and the examples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Final, Literal

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

from verifywise_mlflow.compliance.frameworks import Catalog, Confidence, FrameworkName, Obtainable, dated
from verifywise_mlflow.compliance.rules.cel_expression import (
    CelExpression,
    compile_expression,
    compile_value,
    condition_of,
)
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.reason_template import (
    ReasonCase,
    SentenceTemplate,
    parse_sentence,
    paths_not_read,
)
from verifywise_mlflow.compliance.rules.versions_in_use import VersionsInUse
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.findings import FindingKind
from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.origin import SourceKind, ValueState
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord
from verifywise_mlflow.normalizer.unread_fields import unread_objects
from verifywise_mlflow.normalizer.unread_object import OBJECT_KINDS, ObjectKind

EXPRESSION_FIELDS = ("applies", "evidenced", "requires")
"""The fields of a rule that are CEL conditions."""


class Severity(StrEnum):
    """The severity of a gap. The lowest severity comes first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


UNKNOWN_SEVERITY: Final = "unknown"
"""The severity of a rule that no policy of the tenant has any more. The gaps of such a rule must not look minor."""

_UNREAD_KIND = re.compile(r"""(["'])([^"']*)\1\s+in\s+unread\b""")


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """Pydantic's validation context of a policy."""

    catalog: Catalog
    """The frameworks that rules may refer to."""
    is_shipped: bool = False
    """Whether the policy comes with this package. Only the tests compile its expressions, since this takes 0.1 s."""


def _is_shipped(info: ValidationInfo) -> bool:
    return info.context is not None and info.context.is_shipped


def _compiles(text: str, info: ValidationInfo) -> str:
    if _is_shipped(info):
        return text
    compile_expression(text)
    for _, kind in _UNREAD_KIND.findall(text):
        if kind not in OBJECT_KINDS:  # otherwise, the comparison would be false for every record
            raise ValueError(f"{kind!r} is no kind of object; the kinds are {', '.join(OBJECT_KINDS)}")
    return text


def _compiles_to_value(text: str, info: ValidationInfo) -> str:
    if not _is_shipped(info):
        compile_value(text)
    return text


def _is_record_field(name: str) -> str:
    if name not in FIELDS:
        raise ValueError(f"a record has no field {name!r}")
    return name


CelCondition = Annotated[str, AfterValidator(_compiles)]
"""A CEL expression over the fields of a record, true or false."""
CelValueText = Annotated[str, AfterValidator(_compiles_to_value)]
"""A CEL expression over the fields of a record. Its value may have any type."""
Sentence = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
ValueName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
EnvironmentFact = Literal["end_of_life", "vulnerabilities"]
RecordField = Annotated[str, AfterValidator(_is_record_field)]


class PolicySection(BaseModel):
    """A section of a policy file. It is immutable, and unknown keys are rejected."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class Reference(PolicySection):
    """A clause that a rule gives evidence for. It does not claim that the clause is met.

    The validation context has the catalog of the frameworks. Without a catalog, clauses are not looked up. An example
    is a rule that was stored with an earlier catalog.
    """

    framework: FrameworkName
    clause: Sentence
    """The clause's number in the catalog."""
    confidence: Confidence
    """The confidence that the clause requires what the rule checks."""
    applicable_from: date | None = None
    """The catalog's date unless the rule states another; null for a voluntary clause."""
    source: Sentence | None = None
    """The source of ``applicable_from``."""

    @property
    def citation(self) -> str:
        """The clause on one line, with the confidence in it, and with the date and the source of the date."""
        since = f"; applicable from {dated(self.applicable_from, self.source)}" if self.applicable_from else ""
        return f"{self.framework} {self.clause}, confidence {self.confidence}{since}"

    @model_validator(mode="before")
    @classmethod
    def _take_date_from_catalog(cls, raw: object, info: ValidationInfo) -> object:
        if not isinstance(raw, Mapping) or "applicable_from" in raw or "source" in raw:
            return raw
        framework = _catalog(info).get(str(raw.get("framework")))
        clause = framework.by_id.get(str(raw.get("clause"))) if framework else None
        application = framework.application_date_of(clause) if framework and clause else None
        if application is None:
            return raw
        return {**raw, "applicable_from": application.applicable_from, "source": application.cited_source}

    @field_validator("framework")
    @classmethod
    def _is_known(cls, name: str, info: ValidationInfo) -> str:
        catalog = _catalog(info)
        if catalog and name not in catalog:
            raise ValueError(
                f"there is no framework {name!r}; the frameworks are {', '.join(catalog)}: correct the name, or add "
                "the framework's file to framework_files in tenants.yaml"
            )
        return name

    @field_validator("clause")
    @classmethod
    def _is_in_catalog(cls, number: str, info: ValidationInfo) -> str:
        framework = _catalog(info).get(info.data.get("framework", ""))  # missing if it is invalid
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


def _catalog(info: ValidationInfo) -> Catalog:
    return info.context.catalog if info.context else {}


class ExampleFinding(PolicySection):
    """A finding: something that was read but looks wrong."""

    kind: FindingKind
    field: RecordField | None = None
    sentence: Sentence = "Something looks wrong."
    count: int = Field(default=1, ge=1)
    """The number of findings that the entry summarizes."""


class ExampleOrigin(PolicySection):
    """The provenance of a field's text."""

    source: SourceKind = "version tag"
    key: Sentence = "example"
    raw: str = "example"
    dated: str | None = None
    state: ValueState | None = None
    same_person_as: tuple[RecordField, ...] = ()
    may_be_same_person_as: tuple[RecordField, ...] = ()


class ExampleVersions(PolicySection):
    """The versions of the model that are in use."""

    production: tuple[int, ...] = ()
    """Versions in production or deployed, the newest first."""
    candidates: tuple[int, ...] = ()
    """The other versions in use, the newest first."""


class Example(PolicySection):
    """A record with the fields that matter, the context of the record, and the verdict that the rule must return."""

    record: Mapping[RecordField, JsonValue | datetime] = Field(default_factory=dict)
    findings: tuple[ExampleFinding, ...] = ()
    origins: Mapping[RecordField, ExampleOrigin] = Field(default_factory=dict)
    unread: tuple[ObjectKind, ...] = ()
    """The objects that could not be read. The fields that depend on them, by the default mapping, are unknown."""
    thresholds: Mapping[ValueName, float] = Field(default_factory=dict)
    """Thresholds that a tenant sets, such as a level of a metric. All other thresholds come from the policy."""
    model_versions: ExampleVersions | None = None
    """The versions of the model that are in use. If it is left out, they are unknown."""
    environment_facts: Mapping[EnvironmentFact, Mapping[str, JsonValue]] = Field(default_factory=dict)
    """The values of ``vulnerabilities`` and ``end_of_life``. A variable that is left out is unknown."""
    today: date | None = None
    """The day of the evaluation. If it is left out, everything that depends on the day is unknown."""
    verdict: Verdict

    def canonical_record(self) -> CanonicalRecord:
        """Return the record, with null in every field that the example leaves out."""
        fields = {**dict.fromkeys(FIELDS), "model_name": "example", "version_number": 1, **self.record}
        return CanonicalRecord(**fields)  # type: ignore[arg-type]  # a value of a wrong type leads to ``error``

    def subject(self) -> Subject:
        """Return the record with its context, except the day."""
        record, versions = self.canonical_record(), self.model_versions
        reasons = [(kind, f"the {kind} could not be read") for kind in self.unread]
        return Subject(
            record,
            unread_objects(reasons, record, self.origins, mapping_index(default_mapping())),
            [finding.model_dump() for finding in self.findings],
            {field: origin.model_dump() for field, origin in self.origins.items()},
            None
            if versions is None
            else VersionsInUse(versions.production, len(versions.production), versions.candidates),
            self.environment_facts,  # type: ignore[arg-type]  # JSON in pydantic's type, which is the same
        )


class Condition(PolicySection):
    """One of several requirements of a rule, with the verdict and the sentence for a false condition."""

    holds: CelCondition
    otherwise: Literal["fail", "not evidenced"]
    """The verdict if the condition is false. If the condition is unknown, the verdict is ``not evidenced``."""
    reason: Sentence
    """The finding if the condition is false. It precedes the rule's own sentence for the outcome."""


class Rule(PolicySection):
    """One rule. ``requires`` decides the verdict if ``applies`` and ``evidenced`` are true.

    Each of ``conditions`` must also be true. A false condition with ``otherwise: fail`` fails the rule even if
    ``requires`` is unknown. Any other false or unknown condition makes the verdict ``not evidenced``.
    """

    id: Identifier
    version: int = Field(ge=1, le=2**31 - 1)
    """Incremented with each change that can change a verdict."""
    title: Sentence
    """The requirement, as a sentence."""
    severity: Severity
    rationale: Sentence
    remedy: Sentence
    applies: CelCondition = "true"
    """The versions that the rule applies to."""
    evidenced: CelCondition = "true"
    """Whether the values that MLflow shows suffice to pass or fail. If they do not, the verdict is ``not
    evidenced``."""
    requires: CelCondition
    conditions: tuple[Condition, ...] = ()
    """Further requirements. The reason names them in this order."""
    reason_values: Mapping[ValueName, CelValueText] = Field(default_factory=dict)
    """Named values that the sentences in ``reasons`` and ``conditions`` quote."""
    reasons: Mapping[ReasonCase, Sentence] = Field(default_factory=dict, validate_default=True)
    """Outcome to the sentence that explains the outcome to a governance officer. A missing sentence is generated."""
    references: tuple[Reference, ...] = Field(min_length=1)
    examples: tuple[Example, ...] = ()
    """The examples that test the rule."""

    @field_validator("reasons")
    @classmethod
    def _quote_only_what_the_rule_reads(
        cls, reasons: Mapping[ReasonCase, str], info: ValidationInfo
    ) -> Mapping[ReasonCase, str]:
        data = info.data
        if _is_shipped(info) or not {*EXPRESSION_FIELDS, "conditions", "reason_values"} <= data.keys():
            return reasons  # already tested, or a field has an error that is already reported
        values: Mapping[str, str] = data["reason_values"]
        conditions: tuple[Condition, ...] = data["conditions"]
        texts = [*(data[field] for field in EXPRESSION_FIELDS), *(condition.holds for condition in conditions)]
        read = [path for text in texts for path in compile_expression(text).paths]
        sentences = {case.value: text for case, text in reasons.items()}
        sentences |= {f"condition {number}": entry.reason for number, entry in enumerate(conditions, start=1)}
        for name, text in sentences.items():
            try:
                template = parse_sentence(text, values)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            for placeholder in template.placeholders:
                if unread := paths_not_read(placeholder, read):
                    message = f"{name}: the rule does not read {', '.join(unread)}: quote only values that it reads"
                    raise ValueError(message)
        if unused := [name for name in values if not any(f"{{{name}}}" in text for text in sentences.values())]:
            raise ValueError(f"no sentence quotes the value {unused[0]!r} of reason_values: quote or remove it")
        return reasons

    @property
    def expressions(self) -> Mapping[tuple[str | int, ...], CelExpression]:
        """The compiled expressions that decide, by their place in the rule; EXPRESSION_FIELDS come first."""
        texts: dict[tuple[str | int, ...], str] = {(field,): getattr(self, field) for field in EXPRESSION_FIELDS}
        texts |= {("conditions", index, "holds"): entry.holds for index, entry in enumerate(self.conditions)}
        return {place: condition_of(text) for place, text in texts.items()}

    @cached_property
    def may_be_costly(self) -> bool:
        """Whether an evaluation may cost more than reading the values that the rule names."""
        return any(expression.may_be_costly for expression in self.expressions.values()) or any(
            value.may_be_costly
            for templates in self.reason_templates.values()
            for template in templates
            for value in template.placeholders
        )

    @cached_property
    def reason_templates(self) -> Mapping[ReasonCase, tuple[SentenceTemplate, ...]]:
        """The sentences of each outcome. The sentences of false conditions come first."""
        values = self.reason_values
        of_conditions = tuple(
            parse_sentence(entry.reason, values, condition_of(entry.holds)) for entry in self.conditions
        )
        templates = {case: (parse_sentence(text, values),) for case, text in self.reasons.items()}
        for case in (ReasonCase.FAIL, ReasonCase.INCONCLUSIVE):
            if of_conditions:
                templates[case] = (*of_conditions, *templates.get(case, ()))
        return templates
