"""``python -m benchmarks.overhead``: the overhead of a Dagster run in comparison with a sync alone.

A real MLflow, Postgres and Dagster, as in the demo. Syncs without changes are requested one after the other, as a
person would request them. Each side records its own times: the proxy in front of MLflow, the audit trail, Dagster's
events.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

import psycopg2
from rich.console import Console

from benchmarks.registry import SMALL, fill
from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.demo.database_roles import grant_pipeline_role
from verifywise_mlflow.demo.servers.dagster_api import ENDED, DagsterApi, SyncRun
from verifywise_mlflow.demo.servers.dagster_instance import instance_environment
from verifywise_mlflow.demo.servers.dagster_servers import DagsterServers
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, temporary_postgres
from verifywise_mlflow_tests.support.proxy import Exchange, proxy_before

TENANT = "acme"
RUN_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class SyncTiming:
    """The times of one sync without changes, in seconds."""

    request_to_process: float
    """Seconds from the request until Dagster's daemon dequeued the run and requested a process."""
    process_to_run: float
    """Seconds from then until the process had finished its imports and started the run."""
    run_to_first_call: float
    """Seconds from then until the first request reached MLflow."""
    first_call_to_last_write: float
    """Seconds from the first request to the last write: the sync itself."""
    last_write_to_success: float
    """Seconds from the last write until Dagster recorded the success of the run."""
    events: float
    """The number of rows in Dagster's event log."""
    event_bytes: float
    """The size of these rows, without indexes."""
    result_bytes: float
    """The size of the check results, which Dagster also stores in a separate table."""

    @property
    def request_to_first_call(self) -> float:
        """Seconds from the request to the first call to MLflow."""
        return self.request_to_process + self.process_to_run + self.run_to_first_call


def measure(rounds: int, home: Path, report_progress: Callable[[str], None]) -> list[SyncTiming]:
    """Start all servers, and sync this many times."""
    calls: list[float] = []

    def note(_: Exchange) -> None:
        calls.append(time.time())

    with ExitStack() as stack:
        report_progress("starting Postgres, MLflow and Dagster")
        databases = ("verifywise_mlflow", "dagster")
        postgres = stack.enter_context(temporary_postgres(databases=databases))
        mlflow = stack.enter_context(
            MlflowServer(
                backend_uri=f"sqlite:///{home}/mlflow.db", artifacts=home / "artifacts", log=home / "mlflow.log"
            )
        )
        fill(home / "mlflow.db", SMALL)
        proxy = stack.enter_context(proxy_before(mlflow.uri))
        proxy.before_request = note
        tenants = home / "tenants.yaml"
        tenant_settings = f"{{tracking_uri: '{proxy.uri}', allow_private_network: true, intervals: {{poll: 7d}}}}"
        tenants.write_text(f"tenants:\n  {TENANT}: {tenant_settings}\n")
        login = grant_pipeline_role(postgres)
        dagster = stack.enter_context(
            DagsterServers(
                home / "dagster",
                environment=instance_environment(postgres, login, tenants),
                logs=home / "logs",
            )
        )
        report_progress("the first sync, which a sensor asks for")
        _await(dagster.api, set())
        measured = []
        for number in range(rounds + 1):
            before = {run.run_id for run in dagster.api.sync_runs()}
            calls.clear()
            requested_at = time.time()
            dagster.api.launch(TENANT)
            run = _await(dagster.api, before)
            if number:  # the first sync is a warm-up
                measured.append(_round(postgres, run.run_id, requested_at, calls[0]))
                report_progress(f"round {number}: {measured[-1].request_to_first_call:.2f} s until the first call")
        return measured


def _await(api: DagsterApi, earlier_run_ids: set[str]) -> SyncRun:
    deadline = time.monotonic() + RUN_TIMEOUT_S
    while time.monotonic() < deadline:
        for run in api.sync_runs():
            if run.run_id not in earlier_run_ids and run.status in ENDED:
                if run.status != "SUCCESS":
                    raise RuntimeError(f"the run ended with {run.status}: {api.failure_message(run.run_id)}")
                return run
        time.sleep(0.25)
    raise RuntimeError("the run did not end")


def _round(postgres: EmbeddedPostgres, run_id: str, requested_at: float, first_call: float) -> SyncTiming:
    with closing(psycopg2.connect(postgres.url("dagster"))) as connection, connection.cursor() as cursor:
        at = "extract(epoch FROM min(timestamp))::float8"
        moments = {}
        for kind in ("PIPELINE_STARTING", "PIPELINE_START", "PIPELINE_SUCCESS"):
            query = f"SELECT {at} FROM event_logs WHERE run_id = %s AND dagster_event_type = %s"  # noqa: S608  # ours
            cursor.execute(query, (run_id, kind))
            (moments[kind],) = cursor.fetchone()
        cursor.execute("SELECT count(*), sum(length(event)) FROM event_logs WHERE run_id = %s", (run_id,))
        events, event_bytes = cursor.fetchone()
        cursor.execute("SELECT sum(length(evaluation_event)) FROM asset_check_executions WHERE run_id = %s", (run_id,))
        (result_bytes,) = cursor.fetchone()
    with closing(psycopg2.connect(postgres.url("verifywise_mlflow"))) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM max(occurred_at))::float8 FROM verifywise_mlflow.audit_entries "
            "WHERE dagster_run_id = %s AND kind = 'sync ended'",
            (run_id,),
        )
        (last_write,) = cursor.fetchone()
    return SyncTiming(
        request_to_process=moments["PIPELINE_STARTING"] - requested_at,
        process_to_run=moments["PIPELINE_START"] - moments["PIPELINE_STARTING"],
        run_to_first_call=first_call - moments["PIPELINE_START"],
        first_call_to_last_write=last_write - first_call,
        last_write_to_success=moments["PIPELINE_SUCCESS"] - last_write,
        events=float(events),
        event_bytes=float(event_bytes),
        result_bytes=float(result_bytes),
    )


def main() -> int:
    """Measure, print and save the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often (5)")
    parser.add_argument("--json", type=Path, default=RESULTS / "overhead.json", help="where the figures go")
    arguments = parser.parse_args()
    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder:
        rounds = measure(arguments.rounds, Path(folder), progress.print)
    medians = {
        timing_field.name: median(getattr(timing, timing_field.name) for timing in rounds)
        for timing_field in fields(SyncTiming)
    }
    first_call = median(timing.request_to_first_call for timing in rounds)
    rows = [
        ("from request to first call to MLflow", f"{first_call:.2f} s"),
        ("of it, in the queue", f"{medians['request_to_process']:.2f} s"),
        ("of it, process and imports", f"{medians['process_to_run']:.2f} s"),
        ("of it, start of the run", f"{medians['run_to_first_call']:.2f} s"),
        ("the sync itself", f"{medians['first_call_to_last_write']:.2f} s"),
        ("from last write to success", f"{medians['last_write_to_success']:.2f} s"),
        ("events in Dagster's log", f"{medians['events']:.0f}, {medians['event_bytes'] / 1024:.0f} KiB"),
        ("check results in addition", f"{medians['result_bytes'] / 1024:.0f} KiB"),
    ]
    note = f"Medians of {len(rounds)} syncs without changes."
    publish(arguments.json, [MarkdownTable("overhead", ("one sync", "value"), rows, note)], list(map(asdict, rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
