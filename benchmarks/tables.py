"""Figures as Markdown tables: printed, saved as JSON, and pasted into the page on performance.

A table on a page is between ``<!-- table: NAME -->`` and ``<!-- end of table -->``.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TypeVar

T = TypeVar("T")

RESULTS = Path("build/bench")
_PLACE = re.compile(r"(<!-- table: ([\w-]+) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class MarkdownTable:
    """A table of figures."""

    name: str
    """The table's name in the page on performance. It is unique among all benchmarks."""
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    """A sentence below the table, e.g. on a disturbance."""

    def markdown(self) -> str:
        """Return the table as Markdown. The first column is empty in rows that continue the row above."""
        lines = [_line(self.headings), "|" + "---|" * len(self.headings)]
        first = ""
        for row in self.rows:
            lines.append(_line(("", *row[1:]) if row[0] == first and len(set(self._firsts())) > 1 else row))
            first = row[0]
        return "\n".join(lines) + (f"\n\n{self.note}" if self.note else "") + "\n"

    def _firsts(self) -> Iterable[str]:
        return (row[0] for row in self.rows)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def publish(path: Path, tables: Sequence[MarkdownTable], figures: object) -> None:
    """Print tables. Save the tables, and the figures from which they were made, as JSON.

    Args:
        path: The file, usually in ``RESULTS``.
        tables: The tables to print.
        figures: Everything that was measured, as plain values.
    """
    content = {
        "machine": machine(),
        "tables": {table.name: table.markdown() for table in tables},
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
    sys.stdout.write(_machine_line(machine()) + "\n")
    for table in tables:
        sys.stdout.write("\n" + table.markdown())
    sys.stdout.write(f"\nAll figures: {path}\n")
    sys.stdout.flush()


def saved_tables(folder: Path = RESULTS) -> Mapping[str, tuple[str, str]]:
    """Return the saved tables by name, each with a line on the machine."""
    tables = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        if isinstance(content, dict) and "tables" in content:
            line = _machine_line(content["machine"])
            tables.update({name: (line, markdown) for name, markdown in content["tables"].items()})
    return tables


def paste(page: str, tables: Mapping[str, str]) -> str:
    """Return a page with the tables, by name, between their markers. A table without a new one stays."""

    def replace(match: re.Match[str]) -> str:
        begin, name, former, end = match.groups()
        return begin + (f"\n{tables[name]}\n" if name in tables else former) + end

    return _PLACE.sub(replace, page)


def median_of(values: Iterable[T], value_of: Callable[[T], float]) -> float:
    """Return the median of one figure."""
    return median(map(value_of, values))


def machine() -> dict[str, str | int]:
    """Return the versions and hardware that the figures depend on."""
    return {
        "processors": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "mlflow": importlib.metadata.version("mlflow"),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _machine_line(machine: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())
