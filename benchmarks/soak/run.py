"""A complete soak: starts the servers, simulates the minutes, compares, and returns the figures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import text

from benchmarks.soak import event_log, memory
from benchmarks.soak.comparison import find_differences, versions_in_store
from benchmarks.soak.deletion import Deletion, delete_old_runs
from benchmarks.soak.event_log import RunEvents
from benchmarks.soak.figures import Figures, outcome_of
from benchmarks.soak.fleet import start_fleet
from benchmarks.soak.mutations import Mutator
from benchmarks.soak.scenario import ReportProgress, Scenario, seeded_random, sync_processes
from benchmarks.soak.size import SoakSize
from benchmarks.soak.syncing import open_instance
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.demo.database_roles import grant_pipeline_role
from verifywise_mlflow.demo.servers.dagster_instance import instance_environment, write_instance
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, temporary_postgres
from verifywise_mlflow.persistence.store import Store


@dataclass(frozen=True, slots=True)
class SoakResult:
    """A finished soak whose servers are still running."""

    scenario: Scenario
    postgres: EmbeddedPostgres
    recovery_failures: list[str]
    run_events: Mapping[str, RunEvents]
    """The events of each run in Dagster's event log, before the deletion."""
    deletion: Deletion

    def store(self) -> Store:
        """Open our database as its owner."""
        return Store(self.postgres.url("verifywise_mlflow"))

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each object that is lost or duplicated, and each exceeded limit."""
        scenario = self.scenario
        yield from self.recovery_failures
        for outcome in scenario.syncs:
            if not outcome.is_expected:
                yield f"the sync of {outcome.tenant} failed for what the product has no sentence for: {outcome.failure}"
        with self.store() as store:
            yield from find_differences(scenario.fleet, scenario.mutator.deleted, len(scenario.syncs), store)
        idle = [
            self.run_events[outcome.run_id] for outcome in scenario.syncs if outcome_of(outcome) == "found nothing new"
        ]
        if grown := event_log.growth(idle):
            yield grown
        tenants = sum(len(server.tenants) for server in scenario.fleet)
        yield from self.deletion.problems(tenants, max(outcome.rows for outcome in self.run_events.values()))
        for pid, growth_bytes in memory.growth(scenario.memory_by_minute).items():
            if growth_bytes > memory.MAX_GROWTH_BYTES:
                owner = "this process" if pid == os.getpid() else "a process that syncs"
                yield f"{owner} grew by {growth_bytes / 1e6:.0f} MB after the first third"

    def figures(self) -> Figures:
        """Return the figures."""
        with self.store() as store, store.begin_shared() as connection:
            entries = int(connection.scalar(text("SELECT count(*) FROM verifywise_mlflow.audit_trail")) or 0)
            size = int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
            versions = len(versions_in_store(store))
        return Figures.from_scenario(
            self.scenario,
            versions=versions,
            entries=entries,
            database_bytes=size,
            events_by_run=self.run_events,
            deletion=self.deletion,
        )


@contextmanager
def run_soak(size: SoakSize, report_progress: ReportProgress) -> Iterator[SoakResult]:
    """Run the soak; its servers run until the block ends."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="verifywise-soak-")))
        postgres = stack.enter_context(temporary_postgres(databases=("verifywise_mlflow", "dagster")))
        login, tenants_file, dagster = grant_pipeline_role(postgres), home / "tenants.yaml", home / "dagster"
        stack.enter_context(patch.dict(os.environ, instance_environment(postgres, login, tenants_file)))
        fleet = start_fleet(home, size, stack)
        dagster.mkdir()
        write_instance(dagster)
        with open_instance(dagster) as instance:
            all_tenants = [tenant for server in fleet for tenant in server.tenants]
            instance.add_dynamic_partitions(str(tenant_partitions.name), all_tenants)
        report_progress(f"{len(fleet)} servers with {len(all_tenants)} tenants are up")
        with sync_processes(size.processes, dagster) as pool:
            scenario = Scenario(
                fleet, Mutator(fleet, seeded_random()), size, dagster, tenants_file, pool, report_progress
            )
            scenario.run()
            failed = scenario.recover()
        report_progress("what is old is deleted from Dagster")
        events_by_run = event_log.events_by_run(postgres.url("dagster"))
        yield SoakResult(scenario, postgres, failed, events_by_run, delete_old_runs(dagster, postgres.url("dagster")))
