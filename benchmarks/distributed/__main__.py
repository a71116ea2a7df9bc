"""Drains a backfill with each launcher and prints the figures."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, astuple
from multiprocessing import get_context
from pathlib import Path

import yaml
from rich.console import Console

from benchmarks import distributed
from benchmarks.backfill.installation import first_sync, mlflow_servers, tenant_settings
from benchmarks.distributed.drain import LauncherFigures, drain
from benchmarks.distributed.first_call import parts
from benchmarks.distributed.launchers import LAUNCHERS, SYSTEM_PATH, Launcher, running
from benchmarks.tables import RESULTS, MarkdownTable, publish
from benchmarks.task import REPOSITORY
from verifywise_mlflow.demo.database_roles import grant_pipeline_role
from verifywise_mlflow.demo.servers.dagster_instance import instance_environment
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow_tests.support.proxy import proxy_before

_NOTHING_BY_SCHEDULE = dict.fromkeys(("poll", "listing", "reconcile", "rehash", "rehash_non_production"), "70d")
"""Intervals for a measurement of any length. If a schedule also requests a run, that run is canceled as a duplicate."""


def measure(
    launchers: Sequence[Launcher], tenants: int, probes: int, home: Path, report_progress: Callable[[str], None]
) -> list[LauncherFigures]:
    """Start the servers that all launchers share. Then drain a backfill with one launcher after the other."""
    databases = [f"dagster_{number}" for number in range(len(launchers))]
    with ExitStack() as stack:
        report_progress("starting Postgres and MLflow")
        postgres = stack.enter_context(temporary_postgres(databases=("verifywise_mlflow", "dagster", *databases)))
        servers = mlflow_servers(tenants + 1, home, stack)
        *names, probe = sorted(servers)
        proxy = stack.enter_context(proxy_before(servers[probe].uri))
        entries = {
            name: {**tenant_settings(name, server), "intervals": _NOTHING_BY_SCHEDULE}
            for name, server in servers.items()
        }
        entries[probe]["tracking_uri"] = proxy.uri
        file = home / "tenants.yaml"
        file.write_text(yaml.safe_dump({"tenants": entries}))
        login = grant_pipeline_role(postgres)
        environment = instance_environment(postgres, login, file) | {"PYTHONPATH": str(REPOSITORY)}
        os.environ.update(environment)
        report_progress(f"the first sync of {tenants + 1} tenants, without Dagster")
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
            list(processes.map(first_sync, sorted(servers), chunksize=5))
        figures = []
        for database, launcher in zip(databases, launchers, strict=True):
            login = postgres.create_login(login.role, owns=database)
            own = {**instance_environment(postgres, login, file), "DAGSTER_PG_DB": database}
            with running(launcher, home / database, environment | own, sorted(servers)) as dagster:
                figures.append(drain(launcher.name, dagster, names, probe, proxy, probes))
            report_progress(f"{launcher.name}: {figures[-1].runs_per_minute:.1f} runs a minute")
        return figures


def rates_table(figures: list[LauncherFigures]) -> MarkdownTable:
    """Return a row for each launcher."""
    first = figures[0]
    rows = [
        (
            figure.launcher,
            f"{figure.runs_per_minute:.1f}",
            f"{figure.runs_per_minute / first.runs_per_minute:.1f}",
            f"{figure.cpu_seconds / figure.runs:.2f} s",
            f"{figure.services_cpu_seconds / figure.runs:.2f} s",
            f"{figure.other_cores:.1f}",
        )
        for figure in figures
    ]
    headings = (
        *("launcher", "runs per minute", "times the first", "CPU time of a run"),
        *("of this, daemon and webserver", "cores busy with other work"),
    )
    return MarkdownTable("distributed", headings, rows, f"{first.runs} unchanged syncs for each launcher.")


def first_call_table(figures: list[LauncherFigures], probes: int) -> MarkdownTable:
    """Return a row for each launcher: the parts of the time from the request to the first call to MLflow."""
    rows = [
        (
            figure.launcher,
            *(f"{1000 * part:.0f}" for part in astuple(figure.first_call)),
            f"{1000 * figure.first_call.after_launch:.0f}",
            f"{1000 * figure.first_call.in_all:.0f}",
        )
        for figure in figures
    ]
    note = f"Medians of {probes} single runs, in ms."
    headings = ("launcher", *parts(), "launch to first call", "request to first call")
    return MarkdownTable("distributed-first-call", headings, rows, note)


def main() -> int:
    """Measure, print and save the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distributed",
        description=distributed.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tenants", type=int, default=200, help="how many (200)")
    parser.add_argument("--probes", type=int, default=9, help="single runs that are timed for each launcher (9)")
    names = [launcher.key for launcher in LAUNCHERS]
    parser.add_argument("--launchers", nargs="+", choices=names, default=names, help="which; all by default")
    parser.add_argument("--json", type=Path, default=RESULTS / "distributed.json", help="where the figures go")
    arguments = parser.parse_args()
    launchers = [launcher for launcher in LAUNCHERS if launcher.key in arguments.launchers]
    if any(launcher.workers for launcher in launchers) and not shutil.which("redis-server", path=SYSTEM_PATH):
        parser.error("workers need Redis: install the package redis-server, or choose --launchers shipped forked")
    began, progress = time.monotonic(), Console(stderr=True, highlight=False)

    def report_progress(sentence: str) -> None:
        progress.print(f"{time.monotonic() - began:5.0f} s  {sentence}", markup=False)

    with tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder:
        figures = measure(launchers, arguments.tenants, arguments.probes, Path(folder), report_progress)
    tables = [rates_table(figures), first_call_table(figures, arguments.probes)]
    publish(arguments.json, tables, list(map(asdict, figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
