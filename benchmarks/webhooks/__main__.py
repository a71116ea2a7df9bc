"""Changes tags, and prints when each service saw the changes."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from typing import Final

import dagster as dg

from benchmarks import webhooks
from benchmarks.other_load import OtherLoad, tree_cpu_seconds
from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow_tests.support.seeding import model_name
from verifywise_mlflow_tests.support.webhook_installation import (
    DEFAULT_SIZES,
    ChangeTimes,
    WebhookInstallation,
    webhook_installation,
)

_SEGMENTS: Final[Sequence[tuple[str, Callable[[ChangeTimes], float]]]] = (
    ("delivery: from MLflow's commit to the hint", lambda times: times.received_at - times.committed_at),
    ("dispatch: to the run in the queue", lambda times: times.queued_at - times.received_at),
    ("queue: to the launch", lambda times: times.launched_at - times.queued_at),
    ("sync: to the verdict", lambda times: times.judged_at - times.launched_at),
    ("in all", lambda times: times.delay),
)
_MAX_PAUSE_SECONDS: Final = 3.0
_IDLE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Burst:
    """Many events of one tenant."""

    events: int
    seconds: float
    """How long MLflow took to make the changes."""
    syncs: int
    """The number of syncs that were executed."""
    canceled: int
    """The number of duplicates that were removed from the queue."""
    settled_after: float
    """Seconds from the last change until no hint was left."""


def measure(installation: WebhookInstallation, changes: int) -> list[ChangeTimes]:
    """Make changes one after the other, with pauses, so that they meet the sensors in any phase."""
    tenant, times = installation.tenants[0], []
    pauses = random.Random(1)  # noqa: S311  # not for security
    for number in range(changes):
        time.sleep(pauses.uniform(0, _MAX_PAUSE_SECONDS))
        times.append(installation.change(tenant, number % (DEFAULT_SIZES.versions // DEFAULT_SIZES.models) + 1))
    installation.await_idle(tenant)
    return times


def burst(installation: WebhookInstallation, events: int) -> Burst:
    """Change tags as fast as MLflow allows."""
    tenant = installation.tenants[0]
    installation.await_idle(tenant)
    before = len(installation.targeted_syncs(tenant))
    versions = DEFAULT_SIZES.versions // DEFAULT_SIZES.models

    def change(number: int) -> None:
        version = number % versions + 1
        installation.api(tenant).set_version_tag(model_name(0), version, f"key-{number // versions % 20}", str(number))

    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(change, range(events)))
    seconds = time.monotonic() - began
    ended = time.monotonic()
    installation.await_idle(tenant)
    settled_after = time.monotonic() - ended
    runs = installation.targeted_syncs(tenant)
    new = [record.dagster_run.status for record in runs[: len(runs) - before]]
    canceled = new.count(dg.DagsterRunStatus.CANCELED)
    return Burst(events, seconds, len(new) - canceled, canceled, settled_after)


def idle_cores(installation: WebhookInstallation) -> float:
    """Return how many cores the daemon and the code server keep busy while nothing changes."""
    code_server, _webserver, daemon = installation.dagster.children
    before = tree_cpu_seconds(code_server.pid) + tree_cpu_seconds(daemon.pid)
    time.sleep(_IDLE_SECONDS)
    return (tree_cpu_seconds(code_server.pid) + tree_cpu_seconds(daemon.pid) - before) / _IDLE_SECONDS


def delay_table(name: str, times: Sequence[ChangeTimes], note: str) -> MarkdownTable:
    """Return a row for each segment."""
    rows = []
    for segment, of in _SEGMENTS:
        centiles = quantiles(map(of, times), n=100, method="inclusive")
        rows.append((segment, f"{centiles[49]:.2f} s", f"{centiles[94]:.2f} s", f"{max(map(of, times)):.2f} s"))
    return MarkdownTable(f"webhooks-{name}", ("part", "median", "p95", "longest"), rows, note)


def main() -> int:
    """Measure, print and save the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.webhooks",
        description=webhooks.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--launcher", choices=("default", "celery"), default="default", help="how runs start (default)")
    parser.add_argument("--changes", type=int, default=30, help="changes that are timed (30)")
    parser.add_argument("--burst", type=int, default=1_000, help="events of the burst (1,000); 0 for none")
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder,
        webhook_installation(Path(folder), launcher=arguments.launcher) as installation,
    ):
        time.sleep(15)  # the first ticks import what they need
        idle = idle_cores(installation)
        load = OtherLoad()
        times = measure(installation, arguments.changes)
        busy = load.cores()
        of_burst = burst(installation, arguments.burst) if arguments.burst else None
    note = (
        f"{len(times)} changes, one after the other. Other work kept {busy:.1f} cores busy. Without changes, the "
        f"daemon and the code server took {idle:.3f} cores."
    )
    tables = [delay_table(arguments.launcher, times, note)]
    if of_burst:
        row = (
            *(f"{of_burst.events:,}", f"{of_burst.seconds:.1f} s", str(of_burst.syncs), str(of_burst.canceled)),
            f"{of_burst.settled_after:.1f} s",
        )
        headings = ("events", "made within", "syncs", "canceled duplicates", "last hint followed after")
        tables.append(MarkdownTable(f"webhooks-burst-{arguments.launcher}", headings, [row]))
    figures = {
        "changes": [asdict(each) for each in times],
        "burst": asdict(of_burst) if of_burst else None,
        "idle_cores": idle,
    }
    publish(arguments.json or RESULTS / f"webhooks-{arguments.launcher}.json", tables, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
