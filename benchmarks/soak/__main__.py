"""Runs the soak and prints the figures; exits with 1 if anything is lost, duplicated or beyond a limit."""

from __future__ import annotations

import argparse
import json
import sys
import time
from math import inf
from pathlib import Path

from rich.console import Console

from benchmarks import soak
from benchmarks.soak.run import run_soak
from benchmarks.soak.size import SoakSize


def main() -> int:
    """Run the soak with the given arguments."""
    size, json_path = _arguments()
    began, progress, console = time.monotonic(), Console(stderr=True, highlight=False), Console(highlight=False)

    def report_progress(sentence: str) -> None:
        progress.print(f"{time.monotonic() - began:5.0f} s  {sentence}", markup=False)

    with run_soak(size, report_progress) as over:
        found, figures = list(over.problems()), over.figures()
    console.print(figures.table())
    console.print(figures.syncs_table())
    for sentence in found:
        console.print(f"PROBLEM: {sentence}", markup=False)
    if not found:
        console.print("nothing lost, nothing doubled; memory and event log within their bounds")
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        content = figures.as_json() | {"problems": found, "seconds": round(time.monotonic() - began)}
        json_path.write_text(json.dumps(content, indent=2) + "\n")
    return 1 if found else 0


def _arguments() -> tuple[SoakSize, Path | None]:
    whole = SoakSize()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=soak.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=_number, default=whole.minutes, help="of the simulated clock (30)")
    parser.add_argument("--tenants", type=_number, default=whole.tenants, help="over all servers (50)")
    parser.add_argument("--servers", type=_number, default=whole.servers, help="real MLflow servers (2)")
    parser.add_argument("--processes", type=_number, default=whole.processes, help="syncs at once (4)")
    parser.add_argument("--seconds-at-most", type=_number, help="of real time: then no further minute begins")
    parser.add_argument("--json", type=Path, help="where the figures go, for programs")
    given = parser.parse_args()
    if given.tenants < given.servers:
        parser.error("each server needs a tenant")
    size = SoakSize(
        minutes=given.minutes,
        tenants=given.tenants,
        servers=given.servers,
        processes=given.processes,
        max_seconds=given.seconds_at_most or inf,
    )
    return size, given.json


def _number(written: str) -> int:
    number = int(written)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
