"""The sentence beside a verdict: what the rule saw, in words that name the field and the value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import cast

from verifywise_mlflow.compliance.rules.cel_expression import Expression
from verifywise_mlflow.compliance.rules.cel_variables import Evidence, Shown
from verifywise_mlflow.compliance.rules.field_paths import CIRCUMSTANCES, STATED, Path, at, dotted

_LONGEST_VALUE = 80
"""Characters of a value that a sentence quotes; the record has all of it."""
_FEW = 3
"""Entries that a sentence quotes."""
_NAMES = ("sentence", "path", "name")


def seen(expression: Expression, evidence: Evidence) -> str:
    """Return what the record shows of the values that the expression names."""
    facts = []
    named = {path[0] for path in expression.paths}
    for path in expression.paths:
        if path[0] == STATED and path[1] in named:
            continue  # what it holds says more than that it is there
        known = _known(path, evidence)
        if known is not None:
            facts.append(f"{dotted(_asked(path))} {'is shown' if path[0] == STATED else _told(known)}")
        elif path == _STAGE and "lifecycle_stage" not in evidence.not_understood:
            facts.append("MLflow shows no lifecycle_stage")
    return ", ".join(dict.fromkeys(facts)) or "it asks for nothing in the record"


def missing(expression: Expression, evidence: Evidence) -> str:
    """Return which of the values that the expression names the record does not show."""
    asked = dict.fromkeys(map(_asked, expression.paths))
    not_understood = [name for (name, *_) in asked if name in evidence.not_understood]
    absent = dict.fromkeys(filter(None, (_absent(path, evidence) for path in asked)))
    facts = [f"{name} {_quoted(evidence.not_understood[name])} is not understood" for name in not_understood]
    if absent:
        facts.append(f"MLflow shows no {_listed(absent)}")
    return ", ".join(facts) or f"{_listed(dict.fromkeys(name for (name, *_) in asked))} shows too little"


_STAGE: Path = ("lifecycle_stage",)


def _asked(path: Path) -> Path:
    """Return the field for ``stated.FIELD``: people are told of the field itself."""
    return path[1:] if path[0] == STATED else path


def _known(path: Path, evidence: Evidence) -> Shown:
    if path[0] == STATED:  # only whether it is known is looked at, not what it is
        return True if _is_stated(path[1], evidence) else None
    found, value = at(path, evidence.known)
    return cast("Shown", value) if found else None


def _is_stated(field: str, evidence: Evidence) -> bool:
    stated = evidence.shown.get(STATED)
    return isinstance(stated, dict) and bool(stated.get(field))


def _absent(path: Path, evidence: Evidence) -> str | None:
    """Return the path if the record has no value there; only the field, if that has none at all."""
    field = path[0]
    # No stage is an answer, not a gap: see STAGE_NOT_SHOWN.
    if field in {"lifecycle_stage", *CIRCUMSTANCES} or field in evidence.not_understood:
        return None
    if field not in evidence.known:
        return None if _is_stated(field, evidence) else field
    return dotted(path) if _known(path, evidence) is None else None


def _told(value: Shown) -> str:
    if isinstance(value, bool):
        return f"is {str(value).lower()}"
    if isinstance(value, str):
        return f"is {_quoted(value)}"
    if isinstance(value, datetime):
        return f"is {value.isoformat()}"
    if isinstance(value, list | dict):
        count = f"has {len(value)} {'entry' if len(value) == 1 else 'entries'}"
        entries = _entries(value)
        return f"{count} ({entries})" if entries else count
    return f"is {value}"


def _entries(value: list[Shown] | dict[str, Shown]) -> str:
    """Return the first few entries: a metric that is NaN explains a verdict better than that there is one."""
    if isinstance(value, dict):
        first = list(value.items())[:_FEW]
        shown = [f"{key!r}: {entry}" for key, entry in first if isinstance(entry, str | int | float | None)]
    else:
        shown = [called for called in map(_called, value[:_FEW]) if called]
    return ", ".join([*shown, *(["…"] if len(shown) < len(value) else [])]) if shown else ""


def _called(entry: Shown) -> str | None:
    """Return what people know an entry of a list by: a finding's sentence, a file's path, a package's name."""
    named = (entry.get(name) for name in _NAMES) if isinstance(entry, dict) else (entry,)
    return next((_quoted(name) for name in named if isinstance(name, str)), None)


def _quoted(text: str) -> str:
    """Quote a customer's text on one line, with control characters escaped."""
    return repr(text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…")


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
