"""Precedence: selects the candidate that becomes a field's value, and derives findings from the other candidates.

The chosen candidate's ``Origin`` (``normalizer/origin.py``) is the provenance of the value.

A text that is not a value (``ValueState``) counts as missing. So a real value of a later source is used: `owner: TBD`
on a version does not hide the team that the model names. An attestation is different: if the nearest source has a
rejection or a pending state, this counts, and no approval from another source replaces it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.mapping.key_folding import fold, is_system_key
from verifywise_mlflow.normalizer.origin import Origin, ValueState
from verifywise_mlflow.normalizer.record import FIELD_SPECS, NORMAL_FORMS

_DENIALS: Final = frozenset({ValueState.NEGATIVE, ValueState.FAILED})


@value_object
class Candidate:
    """The value that one source has for a field."""

    value: str
    """The normal form, or the text as written if there is no normal form. If the origin has a state, the field is
    null."""
    origin: Origin
    is_known: bool = True
    """False if the field has a closed set of values and the text is not recognized as one of these values."""
    date_problem: str | None = None
    """Why the date in the text could not be read with certainty."""


@value_object
class Resolution:
    """A field's value, its provenance, and the findings about it."""

    value: str | None = None
    origin: Origin | None = None
    findings: tuple[Finding, ...] = ()


UNDECLARED: Final = Resolution()
"""No source has a value for the field."""


def resolve(field: str, candidates: Sequence[Candidate]) -> Resolution:
    """Take the first candidate, and report unknown values, conflicts, and a date that cannot be read.

    An unknown value stays as written, so that a person can read it. An unknown lifecycle stage counts only if nothing
    else states the stage, and only in a version's tag whose key is about a stage: ``environment: py311`` on a run is
    not a stage. Conflicts are reported only for fields with normal forms: two free texts can differ in wording alone.
    A default in the tenant's settings never conflicts with a value: it exists for versions for which MLflow shows no
    value.
    """
    if not candidates:
        return UNDECLARED
    first = candidates[0]
    if len(candidates) == 1 and first.is_known and not (first.origin.state or first.date_problem):
        return Resolution(first.value, first.origin)  # the case for most fields: the steps below would find nothing
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
    findings += _without_value(field, candidates)
    if not candidates:
        return Resolution(findings=tuple(findings))
    winner = _winner(field, candidates)
    if winner.date_problem:
        sentence = f"{field}: the date in {_source(winner.origin)} cannot be read for certain: {winner.date_problem}"
        findings.append(Finding("unreadable date", field, sentence))
    if (field in NORMAL_FORMS and winner.is_known) or FIELD_SPECS[field].is_attestation:
        findings += _conflicts(field, winner, candidates)
    return Resolution(None if winner.origin.state else winner.value, winner.origin, tuple(findings))


def _winner(field: str, candidates: Sequence[Candidate]) -> Candidate:
    if FIELD_SPECS[field].is_attestation:
        return candidates[0]
    return next((candidate for candidate in candidates if candidate.origin.state is None), candidates[0])


def _without_value(field: str, candidates: Sequence[Candidate]) -> Iterator[Finding]:
    """Yield the findings about texts that are not values, except what MLflow's client records by itself."""
    for candidate in candidates:
        origin = candidate.origin
        if origin.state and not is_system_key(origin.key) and origin.source != "run":
            sentence = f"{field}: {_source(origin)} is {quote(candidate.value)}, {origin.state.clause}"
            yield Finding("no value", field, f"{sentence}, which is no value")


def _has_stage_key(origin: Origin) -> bool:
    key = fold(origin.key)
    return origin.source == "version tag" and ("stage" in key or "lifecycle" in key)


def _conflicts(field: str, winner: Candidate, candidates: Sequence[Candidate]) -> list[Finding]:
    claims = [
        f"{_source(other.origin)} says {_claim(field, other)}"
        for other in candidates
        if other.origin.source != "config" and _contradict(field, winner, other)
    ]
    if not claims:
        return []
    said = _claim(field, winner)
    sentence = f"{field}: {_source(winner.origin)} says {said} and was used, but {', '.join(claims)}"
    return [Finding("ambiguous stage" if field == "lifecycle_stage" else "conflict", field, sentence)]


def _contradict(field: str, winner: Candidate, other: Candidate) -> bool:
    if field in NORMAL_FORMS and _has_another_form(field, winner, other):
        return True
    return FIELD_SPECS[field].is_attestation and _is_denied_by_one_alone(field, winner, other)


def _has_another_form(field: str, winner: Candidate, other: Candidate) -> bool:
    if not other.is_known or winner.origin.state or other.origin.state or other.value == winner.value:
        return False
    forms = NORMAL_FORMS[field]
    if not FIELD_SPECS[field].neighbors_agree:
        return True
    return abs(forms.index(winner.value) - forms.index(other.value)) > 1


def _is_denied_by_one_alone(field: str, winner: Candidate, other: Candidate) -> bool:
    denials = [denies(field, candidate) for candidate in (winner, other)]
    attestation = other if denials[0] else winner
    return denials[0] != denials[1] and attestation.origin.state is None


def denies(field: str, candidate: Candidate) -> bool:
    """Return whether a candidate denies what its field is about: a refusal, a failure, or a form such as `not_done`."""
    state = candidate.origin.state
    return state in _DENIALS if state else candidate.is_known and candidate.value in FIELD_SPECS[field].denials


def _claim(field: str, candidate: Candidate) -> str:
    has_form = field in NORMAL_FORMS and candidate.is_known and candidate.origin.state is None
    return candidate.value if has_form else quote(candidate.value)


def _source(origin: Origin) -> str:
    return f"{origin.source} {quote(origin.key)}"
