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

    with run_soak(size, report_progress) as result:
        problems, figures = list(result.problems()), result.figures()
    console.print(figures.table())
    console.print(figures.syncs_table())
    for sentence in problems:
        console.print(f"PROBLEM: {sentence}", markup=False)
    if not problems:
        console.print("nothing lost, nothing doubled; memory and event log within their bounds")
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        content = figures.as_json() | {"problems": problems, "seconds": round(time.monotonic() - began)}
        json_path.write_text(json.dumps(content, indent=2) + "\n")
    return 1 if problems else 0


def _arguments() -> tuple[SoakSize, Path | None]:
    default_size = SoakSize()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=soak.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=_number, default=default_size.minutes, help="of the simulated clock (30)")
    parser.add_argument("--tenants", type=_number, default=default_size.tenants, help="over all servers (50)")
    parser.add_argument("--servers", type=_number, default=default_size.servers, help="real MLflow servers (2)")
    parser.add_argument("--processes", type=_number, default=default_size.processes, help="syncs at once (4)")
    parser.add_argument("--seconds-at-most", type=_number, help="of real time: then no further minute begins")
    parser.add_argument("--json", type=Path, help="where the figures go, for programs")
    arguments = parser.parse_args()
    if arguments.tenants < arguments.servers:
        parser.error("each server needs a tenant")
    size = SoakSize(
        minutes=arguments.minutes,
        tenants=arguments.tenants,
        servers=arguments.servers,
        processes=arguments.processes,
        max_seconds=arguments.seconds_at_most or inf,
    )
    return size, arguments.json


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
