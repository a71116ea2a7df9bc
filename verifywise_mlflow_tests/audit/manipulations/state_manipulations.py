"""The manipulations, read from ``states.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

_PLACES = {
    "$credit": "tenant_id = 'acme' AND model_name = 'credit' AND version_number = 1",
    "$fraud": "tenant_id = 'acme' AND model_name = 'fraud' AND version_number = 1",
}


@dataclass(frozen=True, slots=True)
class StateManipulation:
    """A manipulation of stored states by SQL, and the check that must detect it."""

    group: str
    what: str
    sql: str
    then: tuple[str, ...] = ()
    """Forgeries that hide the manipulation further, by their names in ``forgeries.py``."""
    keeps_triggers: bool = False
    """Whether the manipulation is done while triggers are enabled."""
    is_refused: bool = False
    """Whether Postgres refuses the manipulation while triggers are enabled."""
    records: tuple[str, ...] = ()
    """The rows that ``audit verify --records`` names. An ellipsis at the end means that it names more rows."""
    trail: str = "intact"
    """The result of ``audit verify`` for the trail, with a key and a saved checkpoint."""
    next_entry: str = ""
    """Why the next sync does not commit its states; empty if it commits them."""


@cache
def state_manipulations() -> tuple[StateManipulation, ...]:
    """Return the manipulations of ``states.yaml``."""
    groups = yaml.safe_load(Path(__file__).with_name("states.yaml").read_text("utf-8"))
    return tuple(_state_manipulation(group["group"], **case) for group in groups for case in group["cases"])


def _state_manipulation(
    group: str,
    *,
    what: str,
    sql: str,
    records: list[str],
    then: list[str | list[str]] | None = None,
    triggers: str = "disabled",
    refused: bool = False,
    trail: str = "intact",
    next: str = "",  # noqa: A002  # the word in the file
) -> StateManipulation:
    for word, condition in _PLACES.items():
        sql = sql.replace(word, condition)
    return StateManipulation(
        group, what, sql, tuple(_flat(then or [])), triggers == "enabled", refused, tuple(records), trail, next
    )


def _flat(names: list[str | list[str]]) -> list[str]:
    return [name for item in names for name in (item if isinstance(item, list) else [item])]
