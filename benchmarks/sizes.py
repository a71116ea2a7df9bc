"""``python -m benchmarks.sizes [VERSIONS …]``: the cost of a sync at 200, 2,000 and 20,000 versions on a real server.

For comparison, it measures a bare loop over the bulk endpoints, without checks or a database, and MLflow's plain
client. Each competitor runs in a process of its own; the cost of Postgres appears in the elapsed time only.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.measurement import ContenderFailedError
from benchmarks.registry import change, fill
from benchmarks.report import FIGURES, as_plain_values, figures
from benchmarks.scenarios import Measurements, Part, ReportProgress, compare, open_server
from benchmarks.tables import RESULTS, MarkdownTable, publish
from benchmarks.task import CHANGES, Contender
from verifywise_mlflow.common.signals import interruptible
from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.progress import Progress
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow_tests.support.seeding import Sizes

CLIENT_ONCE_FROM = 10_000
"""From this number of versions on, MLflow's client reads only once, through the counting proxy: it sends one request
per version."""

_CONTENDERS = (Contender.BARE_REST, Contender.FIRST_SYNC, Contender.UNCHANGED_SYNC, Contender.CHANGED_SYNC)


def sizes_of(versions: int) -> Sizes:
    """Return a registry with one model and one logged model per ten versions, and one run per version."""
    model_count = max(versions // 10, 1)
    return Sizes(models=model_count, versions=versions, experiments=20, runs=versions, logged_models=model_count)


def measure_size(
    versions: int, home: Path, rounds: int, report_progress: ReportProgress, *, with_client: bool
) -> Measurements:
    """Run all competitors on a registry of this number of versions."""
    sizes = sizes_of(versions)
    numbers = itertools.count(1)
    with open_server(home) as server, temporary_postgres() as postgres:
        report_progress(f"filling it with {sizes}")
        database = home / "mlflow.db"
        fill(database, sizes)

        def retag() -> None:
            change(database, CHANGES, f"changed {next(numbers)}")

        rows = compare(_CONTENDERS, sizes, server, postgres, rounds, report_progress, change=retag)
        if with_client:
            client_rounds = 0 if versions >= CLIENT_ONCE_FROM else min(rounds, 1)
            rows = [
                *compare((Contender.MLFLOW_CLIENT,), sizes, server, postgres, client_rounds, report_progress),
                *rows,
            ]
    return Measurements(Part.OPEN, str(sizes), rows)


def table(measurements_by_size: Sequence[tuple[int, Measurements]]) -> MarkdownTable:
    """Return a row for each size and competitor: the median over the rounds."""
    rows = [
        (f"{versions:,}", row.contender, *figures(row))
        for versions, measurements in measurements_by_size
        for row in measurements.rows
    ]
    return MarkdownTable("sizes", ("versions", "reader", *FIGURES), rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the sizes that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    parser.add_argument("versions", nargs="*", type=int, default=[200, 2_000, 20_000])
    parser.add_argument("--rounds", type=int, default=1, help="how often each reads with the clock running (1)")
    parser.add_argument("--without-client", action="store_true", help="leave out MLflow's client, the slowest by far")
    parser.add_argument("--json", type=Path, default=RESULTS / "sizes.json", help="where the figures go")
    arguments = parser.parse_args(argv)
    progress = Progress(Console(stderr=True))
    measurements_by_size: list[tuple[int, Measurements]] = []
    try:
        with interruptible(ignore_repeats=True):
            for versions in arguments.versions:
                with (
                    tempfile.TemporaryDirectory(prefix="verifywise-bench-") as home,
                    progress.step(f"{versions:,} versions") as report_progress,
                ):
                    with_client = not arguments.without_client
                    measured = measure_size(
                        versions, Path(home), arguments.rounds, report_progress, with_client=with_client
                    )
                    measurements_by_size.append((versions, measured))
    except KeyboardInterrupt:
        return 130
    except (ContenderFailedError, ProcessFailedError) as error:
        progress.say(str(error))
        return 1
    all_figures = {versions: as_plain_values([measurements]) for versions, measurements in measurements_by_size}
    publish(arguments.json, [table(measurements_by_size)], all_figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
