"""``python -m benchmarks.sizes [VERSIONS …]``: the cost of a sync at 200, 2,000 and 20,000 versions on a real server.

For comparison: a bare loop over the bulk endpoints, without checks or database, and MLflow's plain client. Prints a
Markdown table. Each competitor runs in a process of its own; the cost of Postgres appears in the elapsed time only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.measurement import ContenderFailedError, ContenderResult
from benchmarks.registry import change, fill
from benchmarks.report import as_json, machine
from benchmarks.scenarios import Measurements, Part, ReportProgress, compare, open_server
from benchmarks.task import CHANGES, METRICS, PARAMS, TAGS, Contender
from verifywise_mlflow.common.signals import interruptible
from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.progress import Progress
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow_tests.support.seeding import Sizes

CLIENT_ONCE_FROM = 10_000
"""From this number of versions on, MLflow's client reads only once, through the counting proxy: it sends one request
per version."""

_CONTENDERS = (Contender.BARE_REST, Contender.FIRST_SYNC, Contender.UNCHANGED_SYNC, Contender.CHANGED_SYNC)
_MEGABYTE = 1_000_000


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


def markdown(measurements_by_size: Sequence[tuple[int, Measurements]]) -> Iterator[str]:
    """Yield a row for each size and competitor: the median over the rounds."""
    yield "| versions | who reads | requests | MB read | seconds | our CPU s | server's CPU s | peak MB |"
    yield "|---|---|---|---|---|---|---|---|"
    for versions, measurements in measurements_by_size:
        for row in measurements.rows:
            yield f"| {versions:,} | {row.contender} | {' | '.join(_figures(row))} |"


def _figures(row: ContenderResult) -> Iterator[str]:
    yield f"{row.requests:,}"
    yield f"{row.response_bytes / _MEGABYTE:.1f}"
    yield f"{row.median(lambda timed_read: timed_read.seconds):.2f}"
    yield f"{row.median(lambda timed_read: timed_read.cpu_seconds):.2f}"
    yield f"{row.median(lambda timed_read: timed_read.server_cpu_seconds):.2f}"
    yield f"{row.median(lambda timed_read: timed_read.peak_bytes) / _MEGABYTE:.0f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the sizes that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    parser.add_argument("versions", nargs="*", type=int, default=[200, 2_000, 20_000])
    parser.add_argument("--rounds", type=int, default=1, help="how often each reads with the clock running (1)")
    parser.add_argument("--without-client", action="store_true", help="leave out MLflow's client, the slowest by far")
    parser.add_argument("--json", type=Path, default=Path("build/bench/sizes.json"), help="where the figures go")
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
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in machine().items()))
    sys.stdout.write(f"; {METRICS + PARAMS + TAGS} values a run\n\n")
    sys.stdout.writelines(f"{line}\n" for line in markdown(measurements_by_size))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    figures = {versions: as_json([measurements]) for versions, measurements in measurements_by_size}
    arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
