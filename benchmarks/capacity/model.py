"""The capacity model: computes, by formulas alone, the load of a workload and the resource exhausted first. Pure.

``docs/scaling.md`` has the formulas in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil

from benchmarks.capacity.polling import LISTING_POLLS, VERSION_POLLS, PollSettings
from benchmarks.capacity.service_times import MEASURED, ServiceTimes
from benchmarks.capacity.sync_times import listing_cpu_seconds, poll_cpu_seconds, poll_seconds, sync_times
from benchmarks.capacity.ticks import (
    CHANGED_LISTINGS,
    NEW_VERSIONS,
    RECONCILE,
    TICK_TIMEOUT_SECONDS,
    TICKS,
)
from benchmarks.capacity.workload import SECONDS_PER_DAY, Installation, Workload
from verifywise_mlflow.defs.run_retention.deletion import MAX_DELETIONS_PER_RUN

WORKER_LOAD = 0.7
"""The share of the time in which workers should be busy. With a greater share, waits grow quickly."""
TARGET = 0.8
"""The maximum load of any other resource in a recommended installation."""
MAX_CODE_SERVERS = 4
"""The maximum number of code servers. More do not help: with four, most of a tick's time is its own work."""
MIN_WORKERS = 2
DEFAULT = Installation()
_DAYS_PER_YEAR = 365
_RECONCILE_ROUND = 0.95
"""The share of the interval in which the schedule requests a sync of each tenant once."""
_DEQUEUE_SECONDS = 1.0
_DELETION_RUNS_PER_DAY = 24
_MAX_TENANTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that an installation has a limited amount of."""

    name: str
    load: float
    """The share of the resource that the workload takes: 1 is the whole resource."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The load of a workload on one installation. Times are in seconds, sizes in bytes."""

    workload: Workload
    installation: Installation
    resources: tuple[Resource, ...]
    syncs_per_second: float
    sync_seconds: float
    """Mean time of a sync on a worker."""
    requests_per_second: float
    """The rate of requests to all MLflow servers."""
    requests_per_second_per_server: float
    worker_cores: float
    """Cores that the syncs keep busy."""
    postgres_cores: float
    code_server_load: float
    daemon_load: float
    tick_seconds: Mapping[str, float]
    """The longest tick of each sensor and schedule, which occurs if all of them tick at the same time."""
    schedule_wait: float
    """Mean time in the queue of a run that a schedule requested."""
    sensor_wait: float
    """Mean time in the queue of a run that a sensor requested."""
    connections: int
    """The maximum number of connections to Postgres."""
    store_bytes: float
    store_bytes_per_year: float
    """Growth of the store."""
    dagster_bytes: float
    """The size of Dagster's database, once runs are deleted as fast as they are added."""
    wal_bytes_per_second: float

    @property
    def bottleneck(self) -> Resource:
        """The resource that the workload loads most."""
        return max(self.resources, key=lambda resource: resource.load)

    @property
    def is_overloaded(self) -> bool:
        """Whether a resource is exhausted."""
        return self.bottleneck.load >= 1


Load = Callable[[Capacity], float]
"""A share of something; 1 is the whole."""


def capacity(workload: Workload, installation: Installation, times: ServiceTimes = MEASURED) -> Capacity:
    """Return the load of a workload on an installation."""
    changed_rate = changed_syncs_per_second(workload)
    reconcile_rate = workload.tenants / (_RECONCILE_ROUND * workload.reconcile.total_seconds())
    rate = changed_rate + reconcile_rate
    reconcile = sync_times(workload, times, reconciles=True)
    changed = sync_times(workload, times, reconciles=False, changed=1)

    def mean(of_reconcile: float, of_changed: float) -> float:
        return (reconcile_rate * of_reconcile + changed_rate * of_changed) / rate if rate else 0.0

    sync_seconds = mean(reconcile.wall, changed.wall)
    # A slot that becomes free is used after the next check of the queue.
    slot_seconds = sync_seconds + _DEQUEUE_SECONDS / 2 + times.launch / 1e3
    polls, listings = polls_per_second(workload)
    poll_requests = polls + listings * workload.listing_requests
    requests = poll_requests + reconcile_rate * reconcile.requests + changed_rate * changed.requests
    servers = max(workload.servers, 1)
    tick_cpu = tick_cpu_seconds(workload, times)
    code_server = sum(tick_cpu[kind.name] / kind.interval for kind in TICKS) / installation.code_servers
    ticks = longest_ticks(workload, times, installation.code_servers)
    daemon = rate * (times.submit_cpu + times.launch_cpu) / 1e3
    requested_per_tick = reconcile_rate * RECONCILE.interval
    runs_per_day = rate * SECONDS_PER_DAY
    days = installation.unchanged_run_days
    retained = reconcile_rate * days + changed_rate * installation.run_days
    resources = (
        Resource("workers", rate * slot_seconds / installation.workers),
        Resource("slots of a server", rate * slot_seconds / servers / installation.syncs_per_server),
        Resource("core of the code server", code_server),
        Resource("time of a tick", max(ticks.values()) / TICK_TIMEOUT_SECONDS),
        Resource("time for polls", max(polls_load(workload, times))),
        Resource("core of the daemon", daemon),
        Resource("submission of runs", requested_per_tick * times.submit / 1e3 / RECONCILE.interval),
        Resource("launches of runs", rate * times.launch / 1e3),
        Resource("deletion of runs", runs_per_day / (MAX_DELETIONS_PER_RUN * _DELETION_RUNS_PER_DAY)),
    )
    pace = slot_seconds / installation.workers
    batch_wait = requested_per_tick / 2 * max(pace - times.submit / 1e3, 0.0)
    start = _DEQUEUE_SECONDS / 2 + times.launch / 1e3
    versions = workload.tenants * workload.versions
    changes_per_year = workload.tenants * workload.changes * _DAYS_PER_YEAR
    return Capacity(
        workload=workload,
        installation=installation,
        resources=resources,
        syncs_per_second=rate,
        sync_seconds=sync_seconds,
        requests_per_second=requests,
        requests_per_second_per_server=requests / servers,
        worker_cores=rate * mean(reconcile.cpu, changed.cpu),
        postgres_cores=rate * times.postgres_sync / 1e3,
        code_server_load=code_server,
        daemon_load=daemon,
        tick_seconds=ticks,
        schedule_wait=start + batch_wait,
        sensor_wait=start + min(resources[0].load, 1.0) * pace,
        connections=ceil(installation.workers * times.connections + times.service_connections),
        store_bytes=versions * times.version_bytes * 1e3,
        store_bytes_per_year=1e3
        * (
            changes_per_year * (times.change_bytes + times.version_bytes / 2)
            + runs_per_day * _DAYS_PER_YEAR * times.sync_bytes
        ),
        dagster_bytes=retained * SECONDS_PER_DAY * times.run_bytes * 1e3,
        wal_bytes_per_second=rate * times.wal_sync * 1e3,
    )


def changed_syncs_per_second(workload: Workload) -> float:
    """Return the rate of syncs that sensors request. Changes between two polls of a tenant cause a single sync."""
    rate = workload.changes / 2 / SECONDS_PER_DAY
    windows = (max(interval.total_seconds(), NEW_VERSIONS.interval) for interval in (workload.poll, workload.listing))
    return workload.tenants * sum(rate / (1 + rate * window) for window in windows)


def polls_per_second(workload: Workload) -> tuple[float, float]:
    """Return the rates of polls for the newest version and of comparisons of the listings."""
    poll, listing = (
        workload.tenants / max(interval.total_seconds(), NEW_VERSIONS.interval)
        for interval in (workload.poll, workload.listing)
    )
    return poll, listing


def tick_cpu_seconds(workload: Workload, times: ServiceTimes) -> Mapping[str, float]:
    """Return the CPU time of a tick of each sensor and schedule on the code server's core."""
    polls, listings = polls_per_second(workload)
    extra = {
        NEW_VERSIONS.name: polls * NEW_VERSIONS.interval * poll_cpu_seconds(times),
        CHANGED_LISTINGS.name: listings * CHANGED_LISTINGS.interval * listing_cpu_seconds(workload, times),
    }
    per_tenant = {
        kind.name: times.parse_tenant
        + kind.transactions * times.transaction
        + (times.decide_tenant if kind.name in extra else 0.0)
        for kind in TICKS
    }
    return {name: workload.tenants * ms / 1e3 + extra.get(name, 0.0) for name, ms in per_tenant.items()}


def longest_ticks(workload: Workload, times: ServiceTimes, code_servers: int = 1) -> Mapping[str, float]:
    """Return the time of each tick if all begin at once. Ticks share the core evenly until they end.

    Several code servers share the other ticks.
    """
    cpu = tick_cpu_seconds(workload, times)
    waits = {kind.name: workload.tenants * kind.transactions * times.transaction_wait / 1e3 for kind in TICKS}
    return {
        name: own + sum(min(own, other) for key, other in cpu.items() if key != name) / code_servers + waits[name]
        for name, own in cpu.items()
    }


def polls_load(workload: Workload, times: ServiceTimes) -> tuple[float, float]:
    """Return the share of a tick's time for polls that each polling sensor needs if the core has no other work."""
    polls, listings = polls_per_second(workload)
    per_server = workload.tenants_per_server if workload.tenants else 0

    def load(settings: PollSettings, count: float, seconds: float, cpu: float) -> float:
        on_server = count / max(workload.tenants, 1) * per_server * seconds / settings.probes_per_server
        return max(count * seconds / settings.max_probes, on_server, count * cpu) / settings.starting_seconds

    return (
        load(VERSION_POLLS, polls * 60, poll_seconds(workload, times, 1), poll_cpu_seconds(times)),
        load(
            LISTING_POLLS,
            listings * 60,
            poll_seconds(workload, times, workload.listing_requests),
            listing_cpu_seconds(workload, times),
        ),
    )


def fitted(workload: Workload, times: ServiceTimes = MEASURED, settings: Installation = DEFAULT) -> Capacity:
    """Return the workload on one installation with as many workers and code servers as it needs.

    Several code servers do not help if a single tick takes too long.
    """
    one = capacity(workload, replace(settings, workers=1, code_servers=1), times)
    code_servers = min(max(ceil(one.code_server_load / TARGET), 1), MAX_CODE_SERVERS)
    workers = max(ceil(one.resources[0].load / WORKER_LOAD), MIN_WORKERS)
    return capacity(workload, replace(settings, workers=workers, code_servers=code_servers), times)


def shards(
    workload: Workload, times: ServiceTimes = MEASURED, settings: Installation = DEFAULT
) -> tuple[int, Capacity]:
    """Return the number of installations into which the tenants must be divided, and the load of each.

    Raises:
        ValueError: even an installation with one server's tenants would be overloaded.
    """
    count = 1
    while True:
        tenants = ceil(workload.tenants / count)
        each = fitted(replace(workload, tenants=tenants), times, settings)
        if each.bottleneck.load <= TARGET:
            return count, each
        if tenants <= workload.tenants_per_server:
            raise ValueError(f"too much for any number of installations: {each.bottleneck.name}")
        count += 1


def breaking_point(workload: Workload, load: Load, times: ServiceTimes = MEASURED, code_servers: int = 1) -> int | None:
    """Return the number of tenants at which a load of one installation reaches 1; None beyond a million."""

    def is_exhausted(tenants: int) -> bool:
        many = replace(workload, tenants=tenants)
        workers = fitted(many, times).installation.workers
        return load(capacity(many, Installation(workers, code_servers), times)) >= 1

    if not is_exhausted(_MAX_TENANTS):
        return None
    below, above = 0, _MAX_TENANTS
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if is_exhausted(middle) else (middle, above)
    return above


def load_of(name: str) -> Load:
    """Return the function that looks up the load of a resource."""
    return lambda each: next(resource.load for resource in each.resources if resource.name == name)
