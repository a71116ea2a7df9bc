"""Generate the tables of the page about manipulations.

``python -m verifywise_mlflow_tests.audit.manipulations.page`` writes them into the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Final

from verifywise_mlflow_tests.audit.manipulations.export_edits import EXPORT_MANIPULATIONS
from verifywise_mlflow_tests.audit.manipulations.proof_edits import PROOF_MANIPULATIONS
from verifywise_mlflow_tests.audit.manipulations.state_manipulations import StateManipulation, state_manipulations
from verifywise_mlflow_tests.audit.manipulations.trail_edits import TRAIL_MANIPULATIONS
from verifywise_mlflow_tests.support.documentation import write_generated_part

PAGE: Final = "reference/attempts-to-falsify-the-evidence.md"


def states() -> Iterator[str]:
    """Yield a row for each manipulation of stored states."""
    yield "| manipulation | triggers | `audit verify --records` names | else |"
    yield "|---|---|---|---|"
    for group, items in groupby(state_manipulations(), key=attrgetter("group")):
        yield _row(f"**{group}**", "", "", "")
        for item in items:
            yield _row(item.what, "refuse it" if item.is_refused else "", _rows(item), _else(item))


def trails() -> Iterator[str]:
    """Yield a row for each manipulation of a trail."""
    yield "| manipulation | with a saved checkpoint | with the key alone |"
    yield "|---|---|---|"
    for item in TRAIL_MANIPULATIONS:
        yield _row(item.what, item.found, item.alone)


def exports() -> Iterator[str]:
    """Yield a row for each manipulation of an exported file."""
    yield "| manipulation | exit code | the script says |"
    yield "|---|---|---|"
    for item in EXPORT_MANIPULATIONS:
        yield _row(item.what, str(item.exit_code), f"… {item.says} …")


def proofs() -> Iterator[str]:
    """Yield a row for each manipulation of a proof."""
    yield "| manipulation | exit code | the script says |"
    yield "|---|---|---|"
    for item in PROOF_MANIPULATIONS:
        yield _row(item.what, str(item.exit_code), f"… {item.says} …")


def _rows(item: StateManipulation) -> str:
    return "<br>".join("and others" if row == "..." else f"`{row}`" for row in item.records)


def _else(item: StateManipulation) -> str:
    trail = "" if item.trail == "intact" else f"`audit verify`: {item.trail}"
    return "; ".join(text for text in (trail, _next_entry(item.next_entry)) if text)


def _next_entry(sentence: str) -> str:
    if sentence.startswith("commits "):
        return f"the next sync {sentence}, which its entry names"
    return f"the entry of the next sync: … {sentence} …" if sentence else ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


PARTS: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "states": states,
    "trails": trails,
    "exports": exports,
    "proofs": proofs,
}


if __name__ == "__main__":
    for part, lines in PARTS.items():
        write_generated_part(PAGE, part, lines())
