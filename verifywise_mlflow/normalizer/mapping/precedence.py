"""Which of several declarations about one field counts, and what has to be said about the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifywise_mlflow.normalizer.findings import Finding, quoted
from verifywise_mlflow.normalizer.mapping.canonical_values import NORMAL_FORMS
from verifywise_mlflow.normalizer.mapping.key_folding import fold
from verifywise_mlflow.normalizer.record import Origin


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one place in MLflow says about a field."""

    value: str
    """The normal form where there is one, else the text as it stands there."""
    origin: Origin
    is_known: bool = True
    """False for a value that should have a normal form, and has none that is known."""
    doubt: str | None = None
    """Why the date in the text could not be read for certain."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A field's value, where it came from, and what looks wrong about it."""

    value: str | None = None
    origin: Origin | None = None
    findings: tuple[Finding, ...] = ()


def resolve(field: str, declarations: Sequence[Declaration]) -> Resolution:
    """Take the first declaration, and report unknown values, contradictions, and a date that cannot be read.

    An unknown value is kept as written, so that a person can judge it. An unknown lifecycle stage counts only where
    nothing else tells the stage, and only where a version's tag asks for a stage: ``environment: py311`` on a run
    is none. Contradictions are looked for where values have normal forms: two free texts can differ in wording alone.
    What the tenant's description states for all versions contradicts nothing: it is there for where MLflow is silent.
    """
    findings = [
        Finding(
            "unknown value",
            field,
            f"{field}: {_place(declaration.origin)} is {quoted(declaration.value)}, which is no known form",
        )
        for declaration in declarations
        if not declaration.is_known
    ]
    if field == "lifecycle_stage":
        known = [declaration for declaration in declarations if declaration.is_known]
        declarations = known or [declaration for declaration in declarations if _asks_for_stage(declaration.origin)]
    if not declarations:
        return Resolution(findings=tuple(findings))
    taken = declarations[0]
    if taken.doubt:
        sentence = f"{field}: the date in {_place(taken.origin)} cannot be read for certain: {taken.doubt}"
        findings.append(Finding("unreadable date", field, sentence))
    if field in NORMAL_FORMS and taken.is_known:
        findings += _contradictions(field, taken, declarations[1:])
    return Resolution(taken.value, taken.origin, tuple(findings))


def _asks_for_stage(origin: Origin) -> bool:
    key = fold(origin.key)
    return origin.source == "version tag" and ("stage" in key or "lifecycle" in key)


def _contradictions(field: str, taken: Declaration, others: Sequence[Declaration]) -> list[Finding]:
    said = [
        f"{_place(other.origin)} says {other.value}"
        for other in others
        if other.is_known and other.value != taken.value and other.origin.source != "config"
    ]
    if not said:
        return []
    sentence = f"{field}: {_place(taken.origin)} says {taken.value} and was taken, but {', '.join(said)}"
    return [Finding("ambiguous stage" if field == "lifecycle_stage" else "conflict", field, sentence)]


def _place(origin: Origin) -> str:
    return f"{origin.source} {quoted(origin.key)}"
