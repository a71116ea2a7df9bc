"""Drains a backfill and prints the figures; exits with 1 if anything failed."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import backfill
from benchmarks.backfill.execution import drain
from benchmarks.backfill.installation import installation
from benchmarks.backfill.observations import BackfillFigures, Spread, collect_figures


def main() -> int:
    """Drain a backfill with the given arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backfill",
        description=backfill.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tenants", type=int, default=500, help="how many (500)")
    parser.add_argument("--seconds-at-most", type=float, default=3_600, help="of the backfill; then it is left (3600)")
    parser.add_argument("--json", type=Path, default=Path("build/bench/backfill.json"), help="where the figures go")
    arguments = parser.parse_args()
    began, progress, console = (
        time.monotonic(),
        Console(stderr=True, highlight=False),
        Console(width=110, highlight=False),
    )

    def report_progress(sentence: str) -> None:
        progress.print(f"{time.monotonic() - began:5.0f} s  {sentence}", markup=False)

    with (
        tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder,
        installation(arguments.tenants, Path(folder), report_progress) as installed,
    ):
        figures = collect_figures(installed, drain(installed, arguments.seconds_at_most, report_progress))
    problems = list(figures.problems())
    console.print(figures_table(figures))
    for sentence in problems:
        console.print(f"PROBLEM: {sentence}", markup=False)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(asdict(figures) | {"problems": problems}, indent=2) + "\n")
    return 1 if problems else 0


def figures_table(figures: BackfillFigures) -> Table:
    """Return the figures as text."""
    table = Table("", "", box=None, show_header=False)
    table.add_row("tenants", f"{figures.tenants}, of which {figures.succeeded} succeeded in {figures.seconds:,.0f} s")
    table.add_row("all were queued after", f"{figures.queued_after_seconds:,.0f} s")
    table.add_row("runs a minute, in each fifth", "  ".join(f"{rate:.1f}" for rate in figures.runs_per_minute))
    for requester, spread in figures.wait_times.items():
        table.add_row(f"a {requester}'s runs waited", _seconds(spread))
    read_delay = _seconds(figures.read_delay) if figures.read_delay else "none"
    table.add_row(f"{figures.changed} new versions, until they were read", read_delay)
    table.add_row("runs of the backfill that went sooner for that", str(figures.promoted))
    table.add_row("a tenant's runs that overlap", str(figures.overlapping))
    for name, ticks in figures.ticks.items():
        summary = f"{ticks.count}, {ticks.failed} failed, {ticks.longest_gap:.0f} s between two at most"
        table.add_row(f"ticks of {name} (each {ticks.interval:.0f} s)", summary)
    table.add_row("runs", ", ".join(f"{count} x {status}" for status, count in figures.runs.items()))
    for name, megabytes in figures.peak_megabytes.items():
        cpu = f", {figures.cpu_seconds[name]:.0f} s of CPU" if name in figures.cpu_seconds else ""
        table.add_row(name, f"{megabytes:,.0f} MB at most{cpu}")
    return table


def _seconds(spread: Spread) -> str:
    median_seconds, max_seconds = spread
    return f"{median_seconds:.1f} s, {max_seconds:.1f} s at most"


if __name__ == "__main__":
    sys.exit(main())
