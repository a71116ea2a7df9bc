"""Measures at each distance and prints Markdown tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import distance
from benchmarks.distance import files, metadata
from benchmarks.distance.file_trees import few_large, many_small
from benchmarks.distance.files import Workload, measure_files
from benchmarks.distance.load import as_plain_values, measure_load, tables
from benchmarks.measurement import ContenderFailedError
from benchmarks.scenarios import PASSWORD_SERVER_PYTHON, ReportProgress
from benchmarks.tables import RESULTS, publish
from verifywise_mlflow.common.signals import interruptible
from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.progress import Progress
from verifywise_mlflow_tests.artifacts.stores.servers import AZURITE

ALL_DISTANCES_MS = (0.0, 20.0, 50.0, 100.0)
STORE_DISTANCES_MS = (0.0, 50.0)
"""The default distances for stores. Fewer distances limit the emulators' share of a run without arguments."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the parts that the command line names."""
    arguments = _parser().parse_args(argv)
    measure: Callable[[argparse.Namespace, ReportProgress], None] = arguments.measure
    progress = Progress(Console(stderr=True))
    try:
        with interruptible(ignore_repeats=True), progress.step(arguments.part) as report_progress:
            measure(arguments, report_progress)
    except KeyboardInterrupt:
        return 130
    except (ContenderFailedError, ProcessFailedError) as error:
        progress.say(str(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distance",
        description=distance.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(dest="part", required=True)

    of_metadata = parts.add_parser("metadata", help="first and unchanged syncs against a bare loop")
    of_metadata.add_argument("--versions", type=int, nargs="+", default=[2_000], help="registries' sizes (2,000)")
    of_metadata.add_argument("--ms", type=float, nargs="+", default=[0.0, 30.0, 100.0], help="round trips (0, 30, 100)")
    of_metadata.set_defaults(measure=_metadata)

    of_files = parts.add_parser("files", help="reading and hashing files against eight plain connections")
    of_files.add_argument(
        "--stores", nargs="+", choices=list(files.STORES), default=list(files.STORES), help="where the files are (all)"
    )
    of_files.add_argument("--layouts", nargs="+", choices=["small", "large"], default=["small", "large"], help="(both)")
    of_files.add_argument("--ms", type=float, nargs="+", help="round trips (0, 20, 50, 100; from buckets 0 and 50)")
    of_files.add_argument("--versions", type=int, default=60, help="versions with small files (60)")
    of_files.add_argument("--large", type=int, nargs=3, default=[4, 3, 24], help="versions, files, MiB a file (4 3 24)")
    of_files.set_defaults(measure=_files)

    for part in (of_metadata, of_files):
        part.add_argument("--pairs", type=int, default=2, help="how often each side is measured (2)")
        part.add_argument("--attempts", type=int, default=3, help="how often a disturbed pair is measured (3)")

    of_load = parts.add_parser("load", help="what a slow server with passwords notices")
    of_load.add_argument("--versions", type=int, default=10, help="versions with six files (10)")
    of_load.set_defaults(measure=_load)
    for name, part in parts.choices.items():
        part.add_argument("--json", type=Path, default=RESULTS / f"distance-{name}.json", help="where the figures go")
    return parser


def _metadata(arguments: argparse.Namespace, report_progress: ReportProgress) -> None:
    measured = [
        figures
        for versions in arguments.versions
        for figures in metadata.measure_metadata(
            versions, arguments.ms, arguments.pairs, arguments.attempts, report_progress
        )
    ]
    publish(arguments.json, metadata.tables(measured), metadata.as_plain_values(measured))


def _files(arguments: argparse.Namespace, report_progress: ReportProgress) -> None:
    if "azure" in arguments.stores and not AZURITE.is_file():
        raise ContenderFailedError("Azurite is missing: run make azurite, or leave azure out of --stores")
    layouts = {"small": many_small(arguments.versions), "large": few_large(*arguments.large)}
    workloads = [
        Workload(
            layouts[layout],
            store,
            arguments.ms or (ALL_DISTANCES_MS if store == "mlflow" else STORE_DISTANCES_MS),
        )
        for layout in arguments.layouts
        for store in arguments.stores
    ]
    measured = list(measure_files(workloads, arguments.pairs, arguments.attempts, report_progress))
    publish(arguments.json, files.tables(measured), files.as_plain_values(measured))


def _load(arguments: argparse.Namespace, report_progress: ReportProgress) -> None:
    if not PASSWORD_SERVER_PYTHON.exists():
        raise ContenderFailedError("a server with passwords needs more packages: run make .compat/current/.ready")
    phases = measure_load(many_small(arguments.versions), report_progress)
    publish(arguments.json, tables(phases), as_plain_values(phases))


if __name__ == "__main__":
    sys.exit(main())
