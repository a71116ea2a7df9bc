"""A whole soak: starts the servers, lives through the minutes, compares, and returns the figures."""

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
from benchmarks.soak.comparison import faults, in_our_store
from benchmarks.soak.deletion import Deletion, delete_old_runs
from benchmarks.soak.event_log import Left
from benchmarks.soak.figures import Figures, kind_of
from benchmarks.soak.fleet import estates_in
from benchmarks.soak.mutations import People
from benchmarks.soak.scenario import Life, Tell, chance, processes
from benchmarks.soak.size import Size
from benchmarks.soak.syncing import instance_in
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.demo.dagster_instance import instance_environment, write_instance
from verifywise_mlflow.demo.run import let_in
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, temporary_postgres
from verifywise_mlflow.persistence.store import Store


@dataclass(frozen=True, slots=True)
class Soaked:
    """A soak that is over, with its servers still up."""

    life: Life
    postgres: EmbeddedPostgres
    failed_at_the_end: list[str]
    left: Mapping[str, Left]
    """What each run left in Dagster's event log, before any was deleted."""
    deletion: Deletion

    def store(self) -> Store:
        """Open our store, as the owner of its tables."""
        return Store(self.postgres.url("verifywise"))

    def faults(self) -> Iterator[str]:
        """Yield a sentence for each thing that is lost, doubled or out of bounds."""
        life = self.life
        yield from self.failed_at_the_end
        for one in life.syncs:
            if not one.is_expected:
                yield f"the sync of {one.tenant} failed for what the product has no sentence for: {one.failure}"
        with self.store() as store:
            yield from faults(life.estates, life.people.deleted, len(life.syncs), store)
        idle = [self.left[one.run_id] for one in life.syncs if kind_of(one) == "found nothing new"]
        if grown := event_log.growth(idle):
            yield grown
        tenants = sum(len(estate.tenants) for estate in life.estates)
        yield from self.deletion.faults(tenants, max(one.rows for one in self.left.values()))
        for pid, more in memory.growth(life.minutes).items():
            if more > memory.MORE:
                whose = "this process" if pid == os.getpid() else "a process that syncs"
                yield f"{whose} grew by {more / 1e6:.0f} MB after the first third"

    def figures(self) -> Figures:
        """Return what was counted."""
        with self.store() as store, store.begin_shared() as connection:
            entries = int(connection.scalar(text("SELECT count(*) FROM verifywise.audit_trail")) or 0)
            size = int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
            versions = len(in_our_store(store))
        return Figures.of(
            self.life,
            versions=versions,
            entries=entries,
            database_bytes=size,
            left=self.left,
            deletion=self.deletion,
        )


@contextmanager
def soaked(size: Size, tell: Tell) -> Iterator[Soaked]:
    """Soak; while the block lasts, what came of it can be looked at."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="verifywise-soak-")))
        postgres = stack.enter_context(temporary_postgres(databases=("verifywise", "dagster")))
        login, tenants_file, dagster = let_in(postgres), home / "tenants.yaml", home / "dagster"
        stack.enter_context(patch.dict(os.environ, instance_environment(postgres, login, tenants_file)))
        estates = estates_in(home, size, stack)
        dagster.mkdir()
        write_instance(dagster)
        with instance_in(dagster) as instance:
            everybody = [tenant for estate in estates for tenant in estate.tenants]
            instance.add_dynamic_partitions(str(tenant_partitions.name), everybody)
        tell(f"{len(estates)} servers with {len(everybody)} tenants are up")
        with processes(size.processes, dagster) as pool:
            life = Life(estates, People(estates, chance()), size, dagster, tenants_file, pool, tell)
            life.live()
            failed = life.recover()
        tell("what is old is deleted from Dagster")
        left = event_log.left_by_runs(postgres.url("dagster"))
        yield Soaked(life, postgres, failed, left, delete_old_runs(dagster, postgres.url("dagster")))
