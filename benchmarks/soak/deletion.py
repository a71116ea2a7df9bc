"""Measures what run retention leaves in Dagster's database after all runs of the soak have expired."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from benchmarks.soak.event_log import DatabaseSize, database_size
from benchmarks.soak.syncing import open_instance
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.run_retention.deletion import delete_expired_runs
from verifywise_mlflow.defs.run_retention.retention_rules import RetentionPeriods

MaterializedTenants = Mapping[str, Sequence[str]]
"""For each stage, the tenants whose partition Dagster shows as materialized."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """The database before and after the deletion."""

    deleted: int
    """The number of deleted runs."""
    before: DatabaseSize
    after: DatabaseSize
    materialized_before: MaterializedTenants
    materialized_after: MaterializedTenants

    def problems(self, tenants: int, most_rows: int) -> Iterator[str]:
        """Yield violations. The limits depend on the number of tenants, not on the duration of the soak.

        Args:
            tenants: number of synced tenants.
            most_rows: the maximum number of event rows of one sync.
        """
        if self.after.runs > tenants:
            yield f"{self.after.runs:,} runs are left of {tenants:,} tenants, though all are old"
        if self.after.events > tenants * most_rows:
            yield f"{self.after.events:,} events are left, and {tenants:,} tenants' newest runs have fewer"
        for stage, count_before in self.materialized_before.items():
            if lost := sorted(set(count_before) - set(self.materialized_after[stage])):
                yield f"{stage} no longer shows as materialized for {', '.join(lost[:5])}"


def delete_old_runs(home: Path, url: str) -> Deletion:
    """Delete runs by the production defaults, one day after the soak's last run has expired."""
    retention = RetentionPeriods.from_environment(os.environ)
    before = database_size(url)
    with open_instance(home) as instance:
        materialized = _materialized(instance)
        deleted = delete_expired_runs(instance, None, retention, datetime.now(UTC) + retention.runs + timedelta(days=1))
        return Deletion(deleted, before, database_size(url), materialized, _materialized(instance))


def _materialized(instance: dg.DagsterInstance) -> MaterializedTenants:
    return {stage.value: sorted(instance.get_materialized_partitions(dg.AssetKey(stage.value))) for stage in Stage}
