"""Formats the readers' figures as tables and as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from benchmarks.measurement import ContenderResult, TimedRead
from benchmarks.scenarios import Measurements, Part
from benchmarks.tables import MarkdownTable

_MEGABYTE = 1_000_000
FIGURES = ("requests", "MB read", "seconds", "our CPU s", "server's CPU s", "peak MB")
"""The headings of ``figures``."""


def table(measurements: Measurements) -> MarkdownTable:
    """Return a part's figures as a table: median, minimum and maximum of the rounds."""
    name = f"connector-{measurements.part}"
    if measurements.part is Part.RUNS:
        runs_headings = ("reader", "runs", *FIGURES[2:], "our CPU ms a run")
        return MarkdownTable(name, runs_headings, [_runs_row(row) for row in measurements.rows], measurements.title)
    rows = [
        (
            row.contender,
            *figures(row),
            f"{row.median(lambda timed_read: timed_read.imported_bytes) / _MEGABYTE:.0f} MB",
            str(len(row.rounds)),
        )
        for row in measurements.rows
    ]
    headings = ("reader", *FIGURES, "imports", "rounds")
    return MarkdownTable(name, headings, rows, f"{measurements.title}. {_NOTE}")


_NOTE = (
    "The median of the rounds, and from the least to the most. The clock starts after the imports; "
    "the peak includes what they need."
)


def _runs_row(row: ContenderResult) -> Sequence[str]:
    count = row.rounds[0].counts.runs
    cpu_ms = 1_000 * row.median(lambda timed_read: timed_read.cpu_seconds) / count
    return (row.contender.partition(":")[0], f"{count:,}", *_timed_figures(row), f"{cpu_ms:.3f}")


def figures(row: ContenderResult) -> Iterator[str]:
    """Yield the figures of one reader, one for each of ``FIGURES``."""
    yield f"{row.requests:,}"
    yield f"{row.response_bytes / _MEGABYTE:.1f}"
    yield from _timed_figures(row)


def _timed_figures(row: ContenderResult) -> Iterator[str]:
    yield _median_and_range(row, lambda timed_read: timed_read.seconds, 2)
    yield _median_and_range(row, lambda timed_read: timed_read.cpu_seconds, 2)
    yield _median_and_range(row, lambda timed_read: timed_read.server_cpu_seconds, 2)
    yield _median_and_range(row, lambda timed_read: timed_read.peak_bytes / _MEGABYTE, 0)


def _median_and_range(row: ContenderResult, value_of: Callable[[TimedRead], float], digits: int) -> str:
    lowest, highest = (f"{edge(map(value_of, row.rounds)):.{digits}f}" for edge in (min, max))
    median_text = f"{row.median(value_of):.{digits}f}"
    return median_text if lowest == highest else f"{median_text} ({lowest} to {highest})"


def as_plain_values(parts: Sequence[Measurements]) -> dict[str, object]:
    """Return all figures of all rounds."""
    return {
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
    }
