"""``python -m benchmarks.unchanged_sync_queries``: the queries of a sync of an unchanged tenant, one by one.

It measures the six stages, and what is reported to Dagster for each stage: the data version, the rows that changed
last, the checks and the compliance summary. The sync runs in a separate process, with generated objects
(``synthetic``). The times exclude generating the objects; the memory includes it.

``python -m benchmarks.unchanged_sync_queries 20000 100000`` takes ten
minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from benchmarks.competitor import peak_bytes
from benchmarks.database_cost import postgres_cpu_seconds
from benchmarks.idle_tenant import fill
from benchmarks.own_process import given_database, run_in_own_process
from benchmarks.synthetic import TENANT, SyntheticReader
from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.persistence.queries import stage_queries
from verifywise_mlflow.persistence.repositories import audit_log, records, tenancy
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.compliance_summary import summarize_compliance
from verifywise_mlflow.services.tenant_policies import load_rules

PREVIEW_ROWS = 5
"""The number of rows of a stage in Dagster's preview."""
MIN_SECONDS = 0.01
"""A query that takes at least this time has its own row."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The measured cost of one query."""

    versions: int
    operation: str
    seconds: float
    """Elapsed time, without generating objects."""
    postgres_cpu_seconds: float
    peak_bytes: int
    """Peak memory of the process at the end of the query, imports included."""


def run(versions: int, url: str, postgres: int) -> list[Figure]:
    """Run an unchanged sync in this process."""
    reader = SyntheticReader(versions)
    figures = []

    def measure_query(name: str, query: Callable[[], object]) -> None:
        making_seconds, postgres_cpu, began = reader.seconds, postgres_cpu_seconds(postgres), time.perf_counter()
        query()
        seconds = time.perf_counter() - began - (reader.seconds - making_seconds)
        postgres_cpu = postgres_cpu_seconds(postgres) - postgres_cpu
        figures.append(Figure(versions, name, seconds, postgres_cpu, peak_bytes()))

    with Store(url) as store:
        with Sync(TENANT, store, _reader=reader) as sync:
            for stage in Stage:
                measure_query(f"stage {stage}", partial(_unchanged, sync, stage))
        for query_name, run_query in _reporting_queries().items():
            measure_query(query_name, partial(_run_query, store, run_query))
        rules, now = load_rules(TENANT), sync.now()
        measure_query("compliance summary", lambda: summarize_compliance(store, TENANT.tenant_id, rules, now))
        measure_query(
            "compliance summary, cached",
            lambda: summarize_compliance(store, TENANT.tenant_id, rules, now + timedelta(seconds=1)),
        )
    return figures


def _unchanged(sync: Sync, stage: Stage) -> None:
    changed = sync.run(stage).progress.changed
    if changed:
        raise SystemExit(f"{stage}: {changed} rows changed, of a tenant that did not")


def _run_query(store: Store, query: Callable[[TenantSession], object]) -> None:
    with store.begin(TENANT.tenant_id) as session:
        query(session)


def _reporting_queries() -> Mapping[str, Callable[[TenantSession], object]]:
    versions = {f"data version of {stage}": partial(_data_version, stage) for stage in Stage}
    previews = {f"preview of {stage}": partial(_preview, stage) for stage in Stage}
    return {
        **versions,
        **previews,
        "incomplete records": records.count_incomplete,
        "when each stage was gone through": tenancy.stage_refreshes_of,
        "changed bytes": stage_queries.count_changed_files,
        "end of the trail": audit_log.head,
    }


def _data_version(stage: Stage, session: TenantSession) -> object:
    return stage_queries.newest_write(session, stage)


def _preview(stage: Stage, session: TenantSession) -> object:
    return stage_queries.newest_rows(session, stage, PREVIEW_ROWS)


def measure(versions: int, show: Callable[[str], object]) -> list[Figure]:
    """Fill a database and sync it again."""
    with temporary_postgres(["unchanged"]) as postgres:
        url = postgres.url("unchanged")
        show(f"{versions:,} versions are written …\n")
        with Store(url) as store:
            fill(store, versions)
        output = run_in_own_process(
            "unchanged_sync_queries", "--ask", str(versions), postgres=postgres, database="unchanged"
        )
    return [Figure(**figure) for figure in json.loads(output)]


def table(figures: list[Figure]) -> MarkdownTable:
    """Return a row for each query and a row with the totals."""
    rows = []
    for versions in dict.fromkeys(figure.versions for figure in figures):
        size_figures = [figure for figure in figures if figure.versions == versions]
        rows += [
            (f"{versions:,}", figure.operation, *_cells([figure]))
            for figure in size_figures
            if figure.seconds >= MIN_SECONDS
        ]
        rows.append((f"{versions:,}", "all", *_cells(size_figures)))
    headings = ("versions", "query", "ms", "Postgres CPU ms", "peak MB")
    return MarkdownTable("queries", headings, rows, _NOTE)


_NOTE = (
    "The time for generating the objects, which replaces the server, is left out. "
    "Queries below 10 ms are part of `all` only."
)


def _cells(figures: list[Figure]) -> list[str]:
    return [
        f"{1000 * sum(figure.seconds for figure in figures):,.0f}",
        f"{1000 * sum(figure.postgres_cpu_seconds for figure in figures):,.0f}",
        f"{max(figure.peak_bytes for figure in figures) / 1e6:.0f}",
    ]


def main() -> int:
    """Measure, print a table and save the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unchanged_sync_queries", description=__doc__)
    parser.add_argument("versions", nargs="*", type=int, default=[20_000], help="how many versions (20,000)")
    parser.add_argument(
        "--json", type=Path, default=RESULTS / "unchanged_sync_queries.json", help="where the figures go"
    )
    parser.add_argument("--ask", action="store_true", help=argparse.SUPPRESS)  # the arguments of the sync's process
    arguments = parser.parse_args()
    if arguments.ask:
        figures = run(arguments.versions[0], *given_database())
        sys.stdout.write(json.dumps([asdict(figure) for figure in figures]))
        return 0
    figures = [figure for versions in arguments.versions for figure in measure(versions, sys.stderr.write)]
    publish(arguments.json, [table(figures)], list(map(asdict, figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
