"""The times of a sync and of a poll, from the measured constants. Model and simulation share these means."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.capacity.service_times import ServiceTimes
from benchmarks.capacity.workload import Workload

_CONNECTION_ROUND_TRIPS = 2
"""The round trips of a connection: TCP and TLS 1.3."""
_SYNC_ROUND_TRIPS = 4
"""The number of responses for which a sync without changes waits, one after the other."""


@dataclass(frozen=True, slots=True)
class SyncTimes:
    """The time of one sync. All times in seconds."""

    cpu: float
    """The time on a worker's core."""
    wall: float
    """The time for which the sync occupies a worker."""
    requests: int


def sync_times(workload: Workload, times: ServiceTimes, *, reconciles: bool, changed: int = 0) -> SyncTimes:
    """Return the mean time of a sync that finds this number of changed versions."""
    reads_runs = reconciles or workload.reads_runs_always
    runs = workload.versions if reads_runs else 0
    cpu = (
        times.sync
        + workload.tenants * times.parse_tenant  # each run parses tenants.yaml
        + workload.versions * times.synced_version
        + runs * times.reconciled_run
        + changed * times.changed_version
    ) / 1e3
    requests = workload.sync_requests + (workload.run_requests if reads_runs else 0)
    served = (requests * times.served_request + runs * times.served_run) / 1e3
    round_trips = _CONNECTION_ROUND_TRIPS + _SYNC_ROUND_TRIPS + (2 if reads_runs else 0)
    return SyncTimes(cpu, times.sync_wait / 1e3 + cpu + served + round_trips * workload.round_trip, requests)


def poll_seconds(workload: Workload, times: ServiceTimes, requests: int) -> float:
    """Return the time of a probe of a healthy server."""
    return (_CONNECTION_ROUND_TRIPS + requests) * workload.round_trip + requests * times.served_request / 1e3


def poll_cpu_seconds(times: ServiceTimes) -> float:
    """Return the CPU time of a poll for the newest version on the code server, including its transaction."""
    return (times.poll + times.transaction) / 1e3


def listing_cpu_seconds(workload: Workload, times: ServiceTimes) -> float:
    """Return the CPU time of a comparison of the listings on the code server, including its transaction."""
    return (times.listing + workload.versions * times.listed_version + times.transaction) / 1e3
