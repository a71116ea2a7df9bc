"""Which tenants have a sync queued or under way, or one that has just failed: they are not asked for again."""

from datetime import datetime

import dagster as dg
from dagster import DagsterRunStatus as Status

_PARTITION = "dagster/partition"
_UNDER_WAY = [Status.QUEUED, Status.NOT_STARTED, Status.STARTING, Status.STARTED, Status.CANCELING]


def tenants_in_flight(instance: dg.DagsterInstance) -> set[str]:
    """Return the partition keys of the runs that have not ended, whoever asked for them.

    Of all jobs: what a person materializes on an asset's page, and a backfill's runs, are none of the tenants' job.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY))
    return {run.tags[_PARTITION] for run in runs if _PARTITION in run.tags}


def tenants_that_failed(instance: dg.DagsterInstance, since: datetime) -> set[str]:
    """Return the partition keys of the runs that were asked for since then and came to nothing."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=[Status.FAILURE, Status.CANCELED], created_after=since))
    return {run.tags[_PARTITION] for run in runs if _PARTITION in run.tags}
