"""Prints assets other than models, such as prompts: facts and former states below each name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final, TypeVar

from rich.text import Text

from verifywise_mlflow.cli.display import display
from verifywise_mlflow.cli.indented_output import print_indented, print_whole
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.services.agents import AgentStateRow
from verifywise_mlflow.services.prompts import PromptStateRow

R = TypeVar("R")
S = TypeVar("S", AgentStateRow, PromptStateRow)

MAX_LISTED: Final = 20
"""The maximum number of entries of a list that are printed, unless a single asset is shown."""


def print_by_name(rows: Iterable[R], name_of: Callable[[R], str | None], print_row: Callable[[R], None]) -> bool:
    """Print assets, which are sorted by name, below their names; return whether there were any."""
    has_rows = False
    for name, of_name in groupby(rows, key=name_of):
        has_rows = True
        print_whole(Text(escape_invisible(name or "without a name"), "bold"))
        for row in of_name:
            print_row(row)
    return has_rows


def print_facts(facts: Iterable[tuple[str, str | None]], deleted_at: datetime | None) -> None:
    """Print the known facts about an asset, and the time since which MLflow no longer has the asset."""
    deleted = f"MLflow no longer has it since {utc_text(deleted_at)}" if deleted_at else None
    for label, text in (("deleted", deleted), *facts):
        if text:
            print_indented(Text.assemble((f"{label}: ", "cyan"), display(text)), 4)


def first_entries(entries: Sequence[str], limit: int | None) -> str:
    """Return the first entries of a list and how many more there are; all entries without a limit."""
    shown = entries[:limit]
    more = [f"{len(entries) - len(shown):,} more"] if len(shown) < len(entries) else []
    return ", ".join((*shown, *more))


def print_former_states(states: Iterable[S], describe: Callable[[S], str]) -> None:
    """Print each state that is no longer the present one, with its period."""
    former = [(state, state.valid_to) for state in states if state.valid_to]
    if former:
        print_whole(Text("Former states", "bold"))
    for state, valid_to in former:
        period = f"from {utc_text(state.valid_from)} to {utc_text(valid_to)}"
        print_indented(Text(escape_invisible(f"{describe(state)}, {period}")), 2)
