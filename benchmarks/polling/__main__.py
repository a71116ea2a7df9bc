"""Makes all kinds of changes that polls find, and prints the time until each change was evaluated."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Final

import dagster as dg
import psycopg2

from benchmarks import polling
from benchmarks.other_load import OtherLoad
from benchmarks.polling import probes
from benchmarks.polling.changes import KINDS, Kind, Workspace
from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.defs.run_tags import SYNC_JOB
from verifywise_mlflow.tenants.intervals import Intervals
from verifywise_mlflow_tests.support.webhook_installation import WebhookInstallation, webhook_installation

_SHORTENED: Final = dict.fromkeys(("reconcile", "rehash", "rehash_non_production"), "4m")
"""Replacements for the intervals of an hour or more, for the tenants whose changes these intervals find."""
_LONGEST_SYNC: Final = timedelta(seconds=90)
"""A change begins only if its interval plus this time is left, so that it can still be evaluated."""
_MAX_PAUSE_SECONDS: Final = 60.0
"""The maximum pause before each change. Changes at the same time would wait for each other's syncs."""
_LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Delay:
    """The delays of one change."""

    kind: str
    found: float
    """Seconds from MLflow's commit until the sync that read it was requested."""
    evaluated: float
    """Seconds from MLflow's commit until its verdict was in the store."""


@dataclass(frozen=True, slots=True)
class ChangedTenant:
    """A tenant that is used for one kind of change only."""

    kind: Kind
    workspace: Workspace


def intervals_of(kind: Kind) -> Mapping[str, str]:
    """Return the section ``intervals`` for a kind's tenants: empty, or with a shortened long interval."""
    return {} if kind.interval in ("poll", "listing") else _SHORTENED


def measure(installation: WebhookInstallation, tenants: Sequence[ChangedTenant], minutes: float) -> list[Delay]:
    """Change all kinds at the same time, each as often as the time allows."""
    ends_at = time.monotonic() + 60 * minutes
    with ThreadPoolExecutor(len(tenants)) as threads:
        of_tenants = threads.map(lambda tenant: list(_delays(installation, tenant, ends_at)), tenants)
        return [delay for delays in of_tenants for delay in delays]


def _delays(installation: WebhookInstallation, tenant: ChangedTenant, ends_at: float) -> Iterator[Delay]:
    kind, workspace = tenant.kind, tenant.workspace
    pauses = random.Random(workspace.name)  # noqa: S311  # not for security
    interval = Intervals.model_validate(intervals_of(kind)).model_dump()[kind.interval]
    with closing(psycopg2.connect(installation.postgres.url("verifywise_mlflow"))) as connection:
        connection.autocommit = True
        for number in range(1, kind.rounds + 1):
            time.sleep(pauses.uniform(0, _MAX_PAUSE_SECONDS))
            if time.monotonic() + (interval + _LONGEST_SYNC).total_seconds() > ends_at:
                return
            latest = time.monotonic() + 2 * (interval + _LONGEST_SYNC).total_seconds()
            before = _rows(connection, kind, workspace.name)
            kind.change(workspace, number)
            committed_at = time.time()
            while _rows(connection, kind, workspace.name) == before:
                if time.monotonic() > latest:
                    raise TimeoutError(f"{kind.name} of {workspace.name} was not evaluated")
                time.sleep(_LOOK_SECONDS)
            evaluated_at = time.time()
            found_at = max(_requested_at(installation, workspace.name), committed_at)
            yield Delay(kind.name, found_at - committed_at, evaluated_at - committed_at)
            installation.await_idle(workspace.name)


def _rows(connection: psycopg2.extensions.connection, kind: Kind, tenant: str) -> Sequence[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(kind.seen_by, kind.parameters(tenant))
        return sorted(cursor.fetchall())


def _requested_at(installation: WebhookInstallation, tenant: str) -> float:
    runs = dg.RunsFilter(job_name=SYNC_JOB, tags={"dagster/partition": tenant})
    return max(record.create_timestamp.timestamp() for record in installation.instance.get_run_records(runs, limit=1))


def delay_table(delays: Sequence[Delay], note: str) -> MarkdownTable:
    """Return a row for each kind of change."""
    rows = []
    for kind in KINDS:
        own = [delay for delay in delays if delay.kind == kind.name]
        syncing = [delay.evaluated - delay.found for delay in own]
        interval = intervals_of(kind).get(kind.interval) or {"poll": "1m", "listing": "5m"}[kind.interval]
        if own:
            evaluated = [delay.evaluated for delay in own]
            seconds = (min(evaluated), median(evaluated), max(evaluated), median(syncing))
            rows.append((kind.name, f"`{kind.interval}`, {interval}", str(len(own)), *(f"{s:.0f} s" for s in seconds)))
    headings = ("change in MLflow", "found by", "changes", "shortest", "median", "longest", "of it queue and sync")
    return MarkdownTable("polling-delays", headings, rows, note)


def cost_table(costs: Sequence[probes.Cost]) -> MarkdownTable:
    """Return a row for each poll."""
    rows = [
        (cost.poll, cost.registry, str(cost.requests), f"{cost.server_cpu_ms:,.0f} ms", f"{cost.our_cpu_ms:,.1f} ms")
        for cost in costs
    ]
    headings = ("poll", "registry", "requests", "CPU of MLflow", "our CPU")
    return MarkdownTable("polling-costs", headings, sorted(rows, key=lambda row: row[0]))


def measure_delays(folder: Path, tenants: int, minutes: float) -> tuple[Sequence[Delay], str]:
    """Start the servers and make the changes; return their delays, and a sentence on the circumstances."""
    kinds = {f"kind-{KINDS.index(kind):02}-{number}": kind for kind in KINDS for number in range(tenants)}
    intervals = {name: intervals_of(kind) for name, kind in kinds.items()}
    changed: list[ChangedTenant] = []

    def prepare(uri: str) -> None:
        for name, kind in kinds.items():
            workspace = Workspace(uri, name)
            kind.prepare(workspace)
            changed.append(ChangedTenant(kind, workspace))

    with webhook_installation(folder, launcher="default", tenants=0, polled=intervals, prepare=prepare) as installation:
        time.sleep(15)  # the first ticks import what they need
        load = OtherLoad()
        delays = measure(installation, changed, minutes)
        busy = load.cores()
    return delays, (
        f"{len(changed)} tenants of 3 models and 30 versions at one MLflow. Other work kept {busy:.1f} cores busy."
    )


def main() -> int:
    """Measure, print and save the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.polling",
        description=polling.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=8, help="how long changes are made (8)")
    parser.add_argument("--tenants", type=int, default=1, help="tenants for each kind of change (1)")
    parser.add_argument("--costs", action="store_true", help="measure what polls cost, and no delays")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder:
        if arguments.costs:
            costs = probes.measure(Path(folder))
            publish(RESULTS / "polling-costs.json", [cost_table(costs)], [asdict(each) for each in costs])
        else:
            delays, note = measure_delays(Path(folder), arguments.tenants, arguments.minutes)
            table = delay_table(delays, note)
            publish(RESULTS / "polling-delays.json", [table], [asdict(each) for each in delays])
    return 0


if __name__ == "__main__":
    sys.exit(main())
