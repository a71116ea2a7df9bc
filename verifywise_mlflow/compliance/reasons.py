"""The sentence beside a verdict: what the rule saw, in words that name the field and the value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from verifywise_mlflow.compliance.evidence import Evidence, Shown
from verifywise_mlflow.compliance.expressions import Expression

_LONGEST_VALUE = 80
"""Characters of a value that a sentence quotes; the result's ``values`` have all of it."""


def seen(expression: Expression, evidence: Evidence) -> str:
    """Return what the record shows of the values that the expression names."""
    facts = []
    for path in expression.paths:
        value = _at(path, evidence)
        if value is not None:
            facts.append(f"{path} {_told(value)}")
        elif path == "lifecycle_stage" and path not in evidence.not_understood:
            facts.append("MLflow shows no lifecycle_stage")
    return ", ".join(facts) or "it asks for nothing in the record"


def missing(expression: Expression, evidence: Evidence) -> str:
    """Return which of the values that the expression names the record does not show."""
    not_understood = [path for path in expression.paths if path in evidence.not_understood]
    absent = dict.fromkeys(filter(None, (_absent(path, evidence) for path in expression.paths)))
    facts = [f"{path} {_quoted(evidence.not_understood[path])} is not understood" for path in not_understood]
    if absent:
        facts.append(f"MLflow shows no {_listed(absent)}")
    return ", ".join(facts) or f"{_listed(expression.fields)} shows too little"


def _absent(path: str, evidence: Evidence) -> str | None:
    """Return the path if the record has no value there; only the field, if that has none at all."""
    field = path.partition(".")[0]
    # No stage is an answer, not a gap: see STAGE_NOT_SHOWN.
    if field == "lifecycle_stage" or field in evidence.not_understood:
        return None
    if field not in evidence.known:
        return field
    return path if _at(path, evidence) is None else None


def _at(path: str, evidence: Evidence) -> Shown:
    field, *members = path.split(".")
    value = evidence.known.get(field)
    for member in members:
        value = value.get(member) if isinstance(value, dict) else None
    return value


def _told(value: Shown) -> str:
    if isinstance(value, bool):
        return f"is {str(value).lower()}"
    if isinstance(value, str):
        return f"is {_quoted(value)}"
    if isinstance(value, datetime):
        return f"is {value.isoformat()}"
    if isinstance(value, list | dict):
        count = f"has {len(value)} {'entry' if len(value) == 1 else 'entries'}"
        return f"{count} ({_entries(value)})" if isinstance(value, dict) and value else count
    return f"is {value}"


def _entries(value: dict[str, Shown]) -> str:
    """Return the first few entries: a metric that is NaN explains a verdict better than that there is one."""
    shown = [
        f"{key!r}: {entry}" for key, entry in list(value.items())[:3] if isinstance(entry, str | int | float | None)
    ]
    return ", ".join([*shown, *(["…"] if len(shown) < len(value) else [])])


def _quoted(text: str) -> str:
    """Quote a customer's text on one line, with control characters escaped."""
    return repr(text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…")


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
