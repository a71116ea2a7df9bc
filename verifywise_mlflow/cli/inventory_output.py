"""Prints the inventory for people: a heading for each model, and a line for each of its versions.

No name and no time is cut: a part that does not fit into a line of the terminal gets its own lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from rich.text import Text

from verifywise_mlflow.cli.display import display
from verifywise_mlflow.cli.indented_output import print_indented, print_whole
from verifywise_mlflow.cli.output import out
from verifywise_mlflow.cli.tenant_sections import by_tenant, print_limit
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.compliance.badge import BADGE_MEANINGS, BadgeTone
from verifywise_mlflow.services.inventory import InventoryRow

_COLORS: Final[Mapping[BadgeTone, str]] = {"good": "green", "warning": "yellow", "bad": "red"}
_INDENT = 2
_GAP = 2
_HEADINGS = ("version", "stage", "badge", "risk", "trained", "changed (UTC)")


def print_inventory(rows: Iterable[InventoryRow], limit: int, *, shows_tenants: bool) -> None:
    """Print the rows of each tenant, up to a limit; if there are more, print that."""
    is_empty = True
    for of_tenant in by_tenant(rows, shows_tenants=shows_tenants):
        is_empty = False
        _print_models(of_tenant[:limit])
        print_limit(of_tenant, limit, "versions")
    if is_empty:
        out.print("No version matches.")


def _print_models(rows: Sequence[InventoryRow]) -> None:
    lines = [_cells(row, with_time=True) for row in rows]
    if _total(_widths(lines)) > out.width:
        lines = [_cells(row, with_time=False) for row in rows]
    widths = _widths(lines)
    print_whole(Text(_line(_HEADINGS, widths), "dim"))
    remaining = iter(lines)
    for name, of_model in groupby(rows, key=lambda row: row.model_name):
        versions = list(of_model)
        print_whole(Text(escape_invisible(name), "bold"))
        facts = [_facts(row) for row in versions]
        common = [fact for fact in facts[0] if all(fact in others for others in facts)]
        _print_facts(common, _INDENT)
        for row, its_facts in zip(versions, facts, strict=True):
            line = Text(_line(next(remaining), widths))
            if row.badge:
                line.highlight_words([row.badge], _COLORS[BADGE_MEANINGS[row.badge].tone])
            if row.version_number is not None:
                print_whole(line)
            _print_facts([fact for fact in its_facts if fact not in common], _INDENT + widths[0] + _GAP)


def _cells(row: InventoryRow, *, with_time: bool) -> tuple[str, ...]:
    return (
        "" if row.version_number is None else str(row.version_number),
        row.lifecycle_stage or "-",
        row.badge or "not evaluated",
        row.risk_category or "-",
        f"{row.last_trained_at.astimezone(UTC):%Y-%m-%d}" if row.last_trained_at else "-",
        _minute(row.last_changed_at, with_time=with_time),
    )


def _minute(time: datetime | None, *, with_time: bool = True) -> str:
    return f"{time.astimezone(UTC):{'%Y-%m-%d %H:%M' if with_time else '%Y-%m-%d'}}" if time else "-"


def _facts(row: InventoryRow) -> list[tuple[str, str]]:
    """Return the facts about a version that have no column, each as a label and a text."""
    if row.version_number is None:
        return [("no version", "nothing of this model was registered")]
    return list(
        _stated(
            (
                "deleted",
                f"MLflow no longer has it since {row.deleted_at:%Y-%m-%d %H:%M} UTC" if row.deleted_at else None,
            ),
            ("incomplete", "some of it could not be read" if row.is_incomplete else None),
            ("system", row.ai_system),
            ("owner", row.owner or "none"),
            ("purpose", row.business_purpose or "none"),
            ("aliases", ", ".join(row.aliases)),
            ("deployment", row.deployment_status),
            ("library", ", ".join(row.libraries)),
            ("agent", row.agent),
        )
    )


def _stated(*facts: tuple[str, str | None]) -> Iterator[tuple[str, str]]:
    return ((label, text) for label, text in facts if text)


def _print_facts(facts: Iterable[tuple[str, str]], indent: int) -> None:
    for label, text in facts:
        words = Text.assemble((f"{label}: ", "cyan"), display(text))
        if label == "purpose":
            print_indented(words, indent)
        else:
            print_whole(words, indent)


def _widths(lines: Iterable[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(_HEADINGS, *lines, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return _INDENT + sum(widths) + _GAP * (len(widths) - 1)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    number, *others = cells
    padded = [number.rjust(widths[0]), *(cell.ljust(width) for cell, width in zip(others, widths[1:], strict=True))]
    return " " * _INDENT + (" " * _GAP).join(padded).rstrip()
