"""Formats the figures as tables and as JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from rich.table import Table

from benchmarks.measurement import ContenderResult, TimedRead
from benchmarks.scenarios import Measurements, Part

_MEGABYTE = 1_000_000


def machine() -> dict[str, str | int]:
    """Return the versions and hardware that the figures depend on."""
    return {
        "processors": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "mlflow": importlib.metadata.version("mlflow"),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def table(measurements: Measurements) -> Table:
    """Return a part's figures as a table: median, minimum and maximum of the rounds."""
    if measurements.part is Part.RUNS:
        return _runs_table(measurements)
    output_table = Table(title=measurements.title, title_justify="left", caption=_CAPTION, caption_justify="left")
    output_table.add_column("", no_wrap=True)
    for heading in ("requests", "MB read", "seconds", "our CPU s", "server's CPU s", "peak MB", "imports", "rounds"):
        output_table.add_column(heading, justify="right")
    for row in measurements.rows:
        output_table.add_row(
            row.contender,
            f"{row.requests:,}",
            f"{row.response_bytes / _MEGABYTE:.1f}",
            *_figures(row),
            f"{row.median(lambda timed_read: timed_read.imported_bytes) / _MEGABYTE:.0f} MB",
            str(len(row.rounds)),
        )
    return output_table


_CAPTION = (
    "The median of the rounds, and from the least to the most. The clock starts after the imports; "
    "the peak includes what they need."
)


def _runs_table(measurements: Measurements) -> Table:
    output_table = Table(title=measurements.title, title_justify="left")
    output_table.add_column("", no_wrap=True)
    for heading in ("runs", "seconds", "our CPU s", "server's CPU s", "peak MB", "our CPU ms a run"):
        output_table.add_column(heading, justify="right")
    for row in measurements.rows:
        count = row.rounds[0].counts.runs
        output_table.add_row(
            row.contender.partition(":")[0],
            f"{count:,}",
            *_figures(row),
            f"{1_000 * row.median(lambda timed_read: timed_read.cpu_seconds) / count:.3f}",
        )
    return output_table


def _figures(row: ContenderResult) -> tuple[str, str, str, str]:
    return (
        _median_and_range(row, lambda timed_read: timed_read.seconds, 2),
        _median_and_range(row, lambda timed_read: timed_read.cpu_seconds, 2),
        _median_and_range(row, lambda timed_read: timed_read.server_cpu_seconds, 2),
        _median_and_range(row, lambda timed_read: timed_read.peak_bytes / _MEGABYTE, 0),
    )


def _median_and_range(row: ContenderResult, value_of: Callable[[TimedRead], float], digits: int) -> str:
    lowest, highest = (f"{edge(map(value_of, row.rounds)):.{digits}f}" for edge in (min, max))
    median_text = f"{row.median(value_of):.{digits}f}"
    return median_text if lowest == highest else f"{median_text} ({lowest} to {highest})"


def as_json(parts: Sequence[Measurements]) -> dict[str, object]:
    """Return all figures of all rounds."""
    return {
        "machine": machine(),
        "parts": {
            measurements.part: {
                "title": measurements.title,
                "contenders": {
                    row.contender: {
                        "requests": row.requests,
                        "response_bytes": row.response_bytes,
                        "rounds": [asdict(timed_read) for timed_read in row.rounds],
                    }
                    for row in measurements.rows
                },
            }
            for measurements in parts
        },
    }
