"""``python -m benchmarks [open] [password] [runs]``: prints tables and writes all figures as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.measurement import ContenderFailedError
from benchmarks.report import as_json, machine, table
from benchmarks.scenarios import PASSWORD_SERVER_PYTHON, Part, measure_part
from verifywise_mlflow.common.signals import interruptible
from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.progress import Progress

_PAPER_WIDTH = 150
"""Width of output that goes to a file, so that table columns do not wrap."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the parts that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", type=Part, default=list(Part), help=f"what to measure, of {', '.join(Part)}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender reads (3)")
    parser.add_argument("--json", type=Path, default=Path("build/bench/connector.json"), help="where the figures go")
    arguments = parser.parse_args(argv)
    parts: list[Part] = arguments.parts
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    if Part.PASSWORD in parts and not PASSWORD_SERVER_PYTHON.exists():
        parser.error("the part password needs make .compat/current/.ready first; make bench sees to that")

    progress = Progress(Console(stderr=True))
    measured = []
    try:
        with interruptible(ignore_repeats=True):
            for part in parts:
                with (
                    tempfile.TemporaryDirectory(prefix="verifywise-bench-") as home,
                    progress.step(part) as report_progress,
                ):
                    measured.append(measure_part(part, Path(home), arguments.rounds, report_progress))
    except KeyboardInterrupt:
        return 130
    except (ContenderFailedError, ProcessFailedError) as error:
        progress.say(str(error))
        return 1

    console = Console()
    if not console.is_terminal:
        console.width = _PAPER_WIDTH
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()), highlight=False)
    for part_measured in measured:
        console.print(table(part_measured))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(as_json(measured), indent=2) + "\n")
    console.print(f"Every figure: {arguments.json}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
