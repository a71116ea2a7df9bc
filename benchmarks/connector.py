"""``python -m benchmarks.connector [open] [password] [runs]``: readers of a registry, MLflow's client and ours."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.measurement import ContenderFailedError
from benchmarks.report import as_plain_values, table
from benchmarks.scenarios import PASSWORD_SERVER_PYTHON, Part, measure_part
from benchmarks.tables import RESULTS, publish
from verifywise_mlflow.common.signals import interruptible
from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.progress import Progress


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the parts that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.connector", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", type=Part, default=list(Part), help=f"what to measure, of {', '.join(Part)}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender reads (3)")
    parser.add_argument("--json", type=Path, default=RESULTS / "connector.json", help="where the figures go")
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

    publish(arguments.json, [table(part_measured) for part_measured in measured], as_plain_values(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
