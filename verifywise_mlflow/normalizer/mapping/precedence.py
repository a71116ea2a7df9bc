"""Precedence: which of several candidates becomes a field's value, and which findings the others cause.

The chosen candidate's ``Origin`` (``normalizer/record.py``) is the provenance of the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.mapping.key_folding import fold
from verifywise_mlflow.normalizer.record import NORMAL_FORMS, Origin


@dataclass(frozen=True, slots=True)
class Candidate:
    """The value that one source gives for a field."""

    value: str
    """The normal form if there is one, else the text as written."""
    origin: Origin
    is_known: bool = True
    """False for a value that should have a normal form, and has none that is known."""
    date_problem: str | None = None
    """Why the date in the text could not be read for certain."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A field's value, its provenance, and the findings about it."""

    value: str | None = None
    origin: Origin | None = None
    findings: tuple[Finding, ...] = ()


def resolve(field: str, candidates: Sequence[Candidate]) -> Resolution:
    """Take the first candidate, and report unknown values, conflicts, and a date that cannot be read.

    An unknown value stays as written, so that a person can read it. An unknown lifecycle stage counts only if nothing
    else states the stage, and only in a version's tag whose key is about a stage: ``environment: py311`` on a run is
    not a stage. Conflicts are reported only for fields with normal forms: two free texts can differ in wording alone.
    A default of the tenant's settings conflicts with nothing: it exists for versions about which MLflow says nothing.
    """
    findings = [
        Finding(
            "unknown value",
            field,
            f"{field}: {_source(candidate.origin)} is {quote(candidate.value)}, which is not a known form",
        )
        for candidate in candidates
        if not candidate.is_known
    ]
    if field == "lifecycle_stage":
        recognized = [candidate for candidate in candidates if candidate.is_known]
        candidates = recognized or [candidate for candidate in candidates if _has_stage_key(candidate.origin)]
    if not candidates:
        return Resolution(findings=tuple(findings))
    winner = candidates[0]
    if winner.date_problem:
        sentence = f"{field}: the date in {_source(winner.origin)} cannot be read for certain: {winner.date_problem}"
        findings.append(Finding("unreadable date", field, sentence))
    if field in NORMAL_FORMS and winner.is_known:
        findings += _conflicts(field, winner, candidates[1:])
    return Resolution(winner.value, winner.origin, tuple(findings))


def _has_stage_key(origin: Origin) -> bool:
    key = fold(origin.key)
    return origin.source == "version tag" and ("stage" in key or "lifecycle" in key)


def _conflicts(field: str, winner: Candidate, losers: Sequence[Candidate]) -> list[Finding]:
    claims = [
        f"{_source(other.origin)} says {other.value}"
        for other in losers
        if other.is_known and other.value != winner.value and other.origin.source != "config"
    ]
    if not claims:
        return []
    sentence = f"{field}: {_source(winner.origin)} says {winner.value} and was used, but {', '.join(claims)}"
    return [Finding("ambiguous stage" if field == "lifecycle_stage" else "conflict", field, sentence)]


def _source(origin: Origin) -> str:
    return f"{origin.source} {quote(origin.key)}"
