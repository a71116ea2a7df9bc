"""Which tenants have a sync queued or under way: they are not asked for again."""

import dagster as dg

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def tenants_in_flight(instance: dg.DagsterInstance, job_name: str) -> set[str]:
    """Return the partition keys of the job's runs that have not ended."""
    runs = instance.get_runs(filters=dg.RunsFilter(job_name=job_name, statuses=_UNDER_WAY))
    return {run.tags["dagster/partition"] for run in runs if "dagster/partition" in run.tags}
