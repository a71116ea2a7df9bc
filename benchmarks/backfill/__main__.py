"""Drains a backfill and prints the figures; exits with 1 if anything failed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks import backfill
from benchmarks.backfill.execution import drain
from benchmarks.backfill.installation import installation
from benchmarks.backfill.observations import BackfillFigures, Spread, collect_figures
from benchmarks.tables import RESULTS, MarkdownTable, publish


def main() -> int:
    """Drain a backfill with the given arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backfill",
        description=backfill.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tenants", type=int, default=500, help="how many (500)")
    parser.add_argument("--minutes-at-most", type=float, default=40, help="until it ends, preparation included (40)")
    parser.add_argument("--json", type=Path, default=RESULTS / "backfill.json", help="where the figures go")
    arguments = parser.parse_args()
    began, progress = time.monotonic(), Console(stderr=True, highlight=False)

    def report_progress(sentence: str) -> None:
        progress.print(f"{time.monotonic() - began:5.0f} s  {sentence}", markup=False)

    with (
        tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder,
        installation(arguments.tenants, Path(folder), report_progress) as installed,
    ):
        seconds_left = 60 * arguments.minutes_at_most - (time.monotonic() - began)
        figures = collect_figures(installed, drain(installed, seconds_left, report_progress))
    problems = list(figures.problems())
    publish(arguments.json, [figures_table(figures)], asdict(figures) | {"problems": problems})
    for sentence in problems:
        sys.stdout.write(f"PROBLEM: {sentence}\n")
    return 1 if problems else 0


def figures_table(figures: BackfillFigures) -> MarkdownTable:
    """Return a row for each figure."""
    read_delay = _seconds(figures.read_delay) if figures.read_delay else "none was read"
    rows = [
        ("tenants", f"{figures.succeeded} of {figures.tenants} succeeded in {figures.seconds:,.0f} s"),
        ("until all were queued", f"{figures.queued_after_seconds:,.0f} s"),
        ("runs per minute, in each fifth", ", ".join(f"{rate:.1f}" for rate in figures.runs_per_minute)),
        ("cores busy with other work, in each fifth", ", ".join(f"{cores:.2f}" for cores in figures.other_cores)),
        *((f"queue time of a {requester}'s runs", _seconds(times)) for requester, times in figures.wait_times.items()),
        (f"{figures.changed} new versions, until the store had verdicts on them", read_delay),
        ("backfill runs whose priority was raised", str(figures.promoted)),
        ("concurrent syncs of one tenant", str(figures.overlapping)),
        ("runs", ", ".join(f"{count} x {status}" for status, count in figures.runs.items())),
    ]
    for name, ticks in figures.ticks.items():
        gap = f"{ticks.longest_gap:.0f} s between two at most"
        rows.append((f"ticks of {name} (each {ticks.interval:.0f} s)", f"{ticks.count}, {ticks.failed} failed, {gap}"))
    for name, megabytes in figures.peak_megabytes.items():
        cpu = f", {figures.cpu_seconds[name]:.0f} s of CPU" if name in figures.cpu_seconds else ""
        rows.append((f"peak memory: {name}", f"{megabytes:,.0f} MB{cpu}"))
    return MarkdownTable("backfill", ("figure", "value"), rows)


def _seconds(spread: Spread) -> str:
    median_seconds, max_seconds = spread
    return f"{median_seconds:.1f} s, {max_seconds:.1f} s at most"


if __name__ == "__main__":
    sys.exit(main())
