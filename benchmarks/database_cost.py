"""``python -m benchmarks.database_cost``: the cost of a sync in the database, with generated objects (``synthetic``).

Each sync runs in a process of its own, through the real stages, into a real Postgres. The figures exclude generating
the objects and, in the first sync, reading files. Hashing the listing to detect changes needs no database, so it is
measured separately.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are in a separate package
from sqlalchemy import event, text

from benchmarks.competitor import cpu_seconds
from benchmarks.own_process import given_database, run_in_own_process
from benchmarks.peak_memory import PeakMemory
from benchmarks.synthetic import TENANT, SyntheticReader, manifest
from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import manifests
from verifywise_mlflow.persistence.repositories.manifests import ManifestReadResult, RehashBefore
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.concurrent_reading import VERSIONS_PER_BATCH
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.compliance_summary import summarize_compliance
from verifywise_mlflow.services.tenant_policies import load_rules

RETAGGED = 10_000
MIN_SHARE = 0.1
"""A stage that takes at least this share of a sync's time has its own row."""
SETTINGS_DIGEST = fingerprint([TENANT.artifacts.model_dump(mode="json"), TENANT.limits.max_response_bytes])
"""The digest that the stage of manifests computes. With another digest, the stage would read the files of all
versions."""


class Round(StrEnum):
    """The syncs, in order."""

    FIRST = "first sync"
    UNCHANGED = "nothing changed"
    ONE = "one version retagged"
    RETAGGED = "10,000 versions retagged"
    RECONCILE = "nothing changed, all runs read"

    @property
    def retagged(self) -> int:
        """The number of versions whose tags differ from their tags in the first sync."""
        match self:
            case Round.FIRST | Round.UNCHANGED:
                return 0
            case Round.ONE:
                return 1
            case Round.RETAGGED | Round.RECONCILE:
                return RETAGGED


@dataclass(frozen=True, slots=True)
class Figure:
    """The measured cost of one stage of one sync, or of counting."""

    versions: int
    round: str
    stage: str
    seconds: float
    """Elapsed time, without generating objects."""
    cpu_seconds: float
    """CPU time of this process, without generating objects."""
    postgres_cpu_seconds: float
    statements: int
    rows_fetched: int
    changed: int
    peak_bytes: int
    """Peak memory of the process, imports included, and of its children, until the end of the stage."""


@dataclass(slots=True)
class _Traffic:
    """Counts statements and returned rows."""

    statements: int = 0
    rows: int = 0

    def watch(self, store: Store) -> None:
        """Start counting."""

        def count(_connection: object, cursor: object, *_: object) -> None:
            self.statements += 1
            if getattr(cursor, "description", None):
                self.rows += max(getattr(cursor, "rowcount", 0), 0)

        event.listen(store.engine, "after_cursor_execute", count)


def run(round_: Round, versions: int, url: str, postgres: int) -> list[Figure]:
    """Run one sync in this process, and count verdicts and badges as after each sync."""
    reader = SyntheticReader(versions, retagged=round_.retagged)
    options = SyncOptions(reconcile=round_ is Round.RECONCILE)
    traffic, memory = _Traffic(), PeakMemory()
    figures: list[Figure] = []

    def measure_step(name: str, step: Callable[[], int]) -> None:
        making_seconds, cpu, postgres_cpu = reader.seconds, cpu_seconds(), postgres_cpu_seconds(postgres)
        before = _Traffic(traffic.statements, traffic.rows)
        began = time.perf_counter()
        changed = step()
        making_seconds = reader.seconds - making_seconds
        figures.append(
            Figure(
                versions,
                round_,
                name,
                time.perf_counter() - began - making_seconds,
                cpu_seconds() - cpu - making_seconds,
                postgres_cpu_seconds(postgres) - postgres_cpu,
                traffic.statements - before.statements,
                traffic.rows - before.rows,
                changed,
                memory.bytes(),
            )
        )

    with Store(url) as store:
        with Sync(TENANT, store, options, _reader=reader) as sync:
            traffic.watch(store)
            for stage in Stage:
                if stage is Stage.ARTIFACT_MANIFESTS and round_ is Round.FIRST:
                    measure_step(stage, partial(write_manifests, sync))
                else:
                    measure_step(stage, partial(_changed_by, sync, stage))
        measure_step("counts", partial(_count, store, sync.now()))
    return figures


def _changed_by(sync: Sync, stage: Stage) -> int:
    return sync.run(stage).progress.changed


def _count(store: Store, now: datetime) -> int:
    summarize_compliance(store, TENANT.tenant_id, load_rules(TENANT), now)
    return 0


def write_manifests(sync: Sync) -> int:
    """Write a manifest for each version as the stage does, without reading files."""
    now = sync.now()
    with sync.store.begin(TENANT.tenant_id) as session:
        pending = manifests.pending_manifests(
            session,
            settings_digest=SETTINGS_DIGEST,
            rehash_before=RehashBefore(now - timedelta(days=1), now - timedelta(days=1)),
            retry_failed=False,
        )
    for start in range(0, len(pending), VERSIONS_PER_BATCH):
        built_manifests = [
            (item, manifest(int(item.run_id or "0", 16))) for item in pending[start : start + VERSIONS_PER_BATCH]
        ]
        read_results = [
            ManifestReadResult(item, built_manifest, fingerprint(built_manifest), retry=False, hashed_at=now)
            for item, built_manifest in built_manifests
        ]
        with sync.store.begin(TENANT.tenant_id) as session:
            manifests.write_manifests(session, read_results, sync.sync_id, now)
    return len(pending)


def postgres_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a server and its child processes, including ended ones."""
    server = psutil.Process(pid)
    times = [process.cpu_times() for process in (server, *server.children())]
    ended_children_seconds = times[0].children_user + times[0].children_system
    return float(sum(child_times.user + child_times.system for child_times in times) + ended_children_seconds)


def hashing_seconds(versions: int) -> float:
    """Return the cost of hashing the listing of versions, which every sync does."""
    listing = SyntheticReader(versions).model_versions().read()
    began = time.process_time()
    for version in listing.rows:
        fingerprint(version)
    return time.process_time() - began


def measure(versions: int, show: Callable[[str], object]) -> list[Figure]:
    """Fill a database and run each sync."""
    figures: list[Figure] = []
    with temporary_postgres(["store"]) as postgres:
        for round_ in Round:
            show(f"{versions:,} versions: {round_} …\n")
            output = run_in_own_process(
                "database_cost", "--round", round_, str(versions), postgres=postgres, database="store"
            )
            figures += [Figure(**figure) for figure in json.loads(output)]
        with Store(postgres.url("store")) as store, store.begin_shared() as connection:
            size = int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
        show(f"{versions:,} versions take {size / 1e6:,.0f} MB in the database at the end\n")
    return figures


def table(figures: list[Figure]) -> MarkdownTable:
    """Return a row for each stage, and one for each sync."""
    rows = []
    for versions, round_ in dict.fromkeys((figure.versions, figure.round) for figure in figures):
        round_figures = [figure for figure in figures if (figure.versions, figure.round) == (versions, round_)]
        title = f"{versions:,} versions, {round_}"
        least_seconds = MIN_SHARE * sum(figure.seconds for figure in round_figures)
        rows += [
            (title, f"`{figure.stage}`", *_cells([figure]))
            for figure in round_figures
            if figure.seconds >= least_seconds
        ]
        rows.append((title, "all", *_cells(round_figures)))
    headings = (
        "sync",
        "stage",
        "seconds",
        "our CPU s",
        "Postgres CPU s",
        "statements",
        "rows fetched",
        "changed",
        "peak MB",
    )
    return MarkdownTable("store", headings, rows, _NOTE)


_NOTE = (
    "The time for generating the objects, which replaces the server, is left out. "
    "Stages that take less than a tenth of a sync are part of `all` only."
)


def _cells(figures: list[Figure]) -> list[str]:
    return [
        f"{sum(figure.seconds for figure in figures):.2f}",
        f"{sum(figure.cpu_seconds for figure in figures):.2f}",
        f"{sum(figure.postgres_cpu_seconds for figure in figures):.2f}",
        f"{sum(figure.statements for figure in figures):,}",
        f"{sum(figure.rows_fetched for figure in figures):,}",
        f"{sum(figure.changed for figure in figures):,}",
        f"{max(figure.peak_bytes for figure in figures) / 1e6:.0f}",
    ]


def main() -> int:
    """Measure, print a table and save the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.database_cost", description=__doc__)
    parser.add_argument(
        "versions", nargs="*", type=int, default=[10_000], help="how many versions (10,000; 100,000 take ten minutes)"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "database_cost.json", help="where the figures go")
    parser.add_argument("--round", type=Round, help=argparse.SUPPRESS)  # the arguments of the syncs' processes
    arguments = parser.parse_args()
    if arguments.round:
        figures = run(arguments.round, arguments.versions[0], *given_database())
        sys.stdout.write(json.dumps([asdict(figure) for figure in figures]))
        return 0
    figures = [figure for versions in arguments.versions for figure in measure(versions, sys.stderr.write)]
    for versions in arguments.versions:
        sys.stderr.write(
            f"hashing the listing of {versions:,} versions: {hashing_seconds(versions):.2f} s of our CPU\n"
        )
    publish(arguments.json, [table(figures)], list(map(asdict, figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
