"""Simulates a day of one installation on a fake clock, with the product's own rules.

The product's code decides which tenants are due, and it determines back-off, jitter, deduplication, priorities and
limits per tick. The limits of the queue come from ``dagster.yaml``. The time of each piece of work and the tenants'
servers are simulated.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import count
from math import log, sqrt

from benchmarks.capacity.clock import Action, Clock, SharedCore
from benchmarks.capacity.code_server import CodeServer, Decide, TickStatistics, Work
from benchmarks.capacity.daemon import Daemon
from benchmarks.capacity.polling import LISTING_POLLS, VERSION_POLLS, PollingSensor, PollSettings
from benchmarks.capacity.population import Change, ChangeKind, Population
from benchmarks.capacity.run_queue import RunQueue, SimulatedRun
from benchmarks.capacity.service_times import MEASURED, ServiceTimes
from benchmarks.capacity.sync_times import listing_cpu_seconds, poll_cpu_seconds, poll_seconds, sync_times
from benchmarks.capacity.ticks import CHANGED_LISTINGS, NEW_VERSIONS, RECONCILE, REHASH, TICKS, TickKind
from benchmarks.capacity.workload import DEFAULT_INTERVALS, SECONDS_PER_DAY, Installation, Workload
from verifywise_mlflow.defs.run_tags import BACKFILL_TAG, PARTITION_TAG, SCHEDULE_TAG, SENSOR_TAG
from verifywise_mlflow.defs.schedules.overdue import LastRead, overdue_tenants
from verifywise_mlflow.defs.schedules.sync_schedules import FAILED_SYNC_BACK_OFF
from verifywise_mlflow.tenants.freshness import stale_after

_UNREACHABLE_SECONDS = 20.0
"""The time for which a sync tries to connect to a server that does not respond."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """The events in addition to the workload. Times are in seconds since midnight."""

    seconds: float = SECONDS_PER_DAY
    seed: int = 1
    failure_share: float = 0.002
    """The share of the syncs that fail although their server responds."""
    backfill_at: float | None = None
    """When a person launches a backfill of all tenants."""
    outage: tuple[float, float] | None = None
    """The start and the end of an outage of a group of servers."""
    outage_share: float = 0.1
    """The share of the servers in that group."""


@dataclass(slots=True)
class Outcome:
    """The observations. Times are in seconds."""

    seconds: float
    waits: dict[str, list[float]] = field(default_factory=dict)
    """The times in the queue by requester."""
    delays: dict[ChangeKind, list[float]] = field(default_factory=lambda: {"version": [], "tag": []})
    """The times from each change to the end of the sync that read it."""
    syncs: Counter[str] = field(default_factory=Counter)
    """The number of ended syncs by tenant."""
    failed: int = 0
    sync_requests: Counter[str] = field(default_factory=Counter)
    """The number of requests of syncs by server."""
    worker_seconds: float = 0.0
    longest_gap: float = 0.0
    """The longest time between two completed syncs of a tenant whose server was not lost."""
    stale: int = 0
    """How often such a tenant was stale by the product's definition."""
    backfill_seconds: float | None = None
    """The time from the launch of the backfill to the end of its last run."""
    polls: Counter[str] = field(default_factory=Counter)
    listings: Counter[str] = field(default_factory=Counter)
    late_polls: int = 0
    ticks: dict[str, TickStatistics] = field(default_factory=dict)
    code_server_load: float = 0.0
    """Share of the time in which a code server's core was busy."""
    daemon_load: float = 0.0
    longest_queue: int = 0
    canceled: int = 0
    unread: int = 0
    """The number of changes older than an hour that no sync had read at the end."""

    @property
    def discarded_ticks(self) -> int:
        """The number of ticks that took more than a minute."""
        return sum(ticks.discarded for ticks in self.ticks.values())


class Simulation:
    """One installation."""

    def __init__(
        self,
        workload: Workload,
        installation: Installation,
        scenario: Scenario,
        times: ServiceTimes = MEASURED,
    ) -> None:
        """Set everything up; ``run`` runs it."""
        self._workload, self._scenario, self._times = workload, scenario, times
        self._chance = random.Random(scenario.seed)  # noqa: S311  # no secret depends on it
        self._clock = Clock()
        self._population = Population(workload, scenario.seed)
        self._queue = RunQueue(installation.environment())
        self._outcome = Outcome(scenario.seconds)
        self._daemon = Daemon(self._clock, self._queue, times, self._execute)
        self._code_server = CodeServer(self._clock, installation.code_servers, self._daemon.submit)
        self._lost_servers: set[str] = set()
        self._numbers = count()
        self._backfill_runs = 0
        self._sigma = sqrt(log(1 + times.sync_variation**2))
        intervals = DEFAULT_INTERVALS.model_copy(update={"reconcile": workload.reconcile})
        self._stale_seconds = stale_after(intervals).total_seconds()
        self._sensors = self._polling_sensors()
        self._add_ticks()
        self._plan_changes()
        self._plan_incidents()

    def run(self) -> Outcome:
        """Simulate the day; return the observations."""
        self._clock.run_until(self._scenario.seconds)
        outcome, end = self._outcome, self._scenario.seconds
        outcome.polls, outcome.listings = (sensor.polled for sensor in self._sensors)
        outcome.late_polls = sum(sensor.late for sensor in self._sensors)
        outcome.ticks = self._code_server.statistics
        outcome.code_server_load = self._code_server.busy_seconds / end
        outcome.daemon_load = self._daemon.core.busy_seconds / end
        outcome.longest_queue, outcome.canceled = self._queue.longest, self._queue.canceled
        outcome.unread = sum(
            change.at < end - 3_600 for tenant in self._population.tenants.values() for change in tenant.unread
        )
        for tenant in self._population.tenants.values():
            if not tenant.was_lost:
                self._note_gap(end - tenant.refreshed_at)
        return outcome

    def _polling_sensors(self) -> tuple[PollingSensor, PollingSensor]:
        workload, times = self._workload, self._times

        def sensor(name: str, settings: PollSettings, interval: timedelta, requests: int, cpu: float) -> PollingSensor:
            return PollingSensor(
                settings,
                interval,
                poll_seconds(workload, times, requests),
                cpu,
                self._population,
                self._queue,
                self._clock,
                times,
                self._lost_servers,
                lambda tenant, sensor_name: self._submission(tenant, {SENSOR_TAG: sensor_name}),
                name,
            )

        return (
            sensor(NEW_VERSIONS.name, VERSION_POLLS, workload.poll, 1, poll_cpu_seconds(times)),
            sensor(
                CHANGED_LISTINGS.name,
                LISTING_POLLS,
                workload.listing,
                workload.listing_requests,
                listing_cpu_seconds(workload, times),
            ),
        )

    def _add_ticks(self) -> None:
        decisions: Mapping[str, Decide] = {
            RECONCILE.name: partial(self._request_overdue, RECONCILE, self._population.last_reconciles),
            REHASH.name: partial(self._request_overdue, REHASH, self._population.last_refreshes),
        }
        polls = {sensor.name: sensor.begin for sensor in self._sensors}
        for kind in TICKS:
            begin = partial(self._read_all, kind, decisions.get(kind.name, tuple))
            self._code_server.add(kind, polls.get(kind.name, begin))

    def _read_all(self, kind: TickKind, decide: Decide, _core: SharedCore) -> Work:
        """Return the work of a tick that reads something of each tenant from the store."""
        times, tenants = self._times, self._workload.tenants
        return Work(
            tenants * (times.parse_tenant + kind.transactions * times.transaction) / 1e3,
            decide,
            wait_seconds=tenants * kind.transactions * times.transaction_wait / 1e3,
        )

    def _request_overdue(self, kind: TickKind, last_reads: Mapping[str, LastRead]) -> Sequence[Action]:
        earliest = self._clock.now - FAILED_SYNC_BACK_OFF.total_seconds()
        skipped = {run.tenant for run in self._queue.in_flight}
        skipped |= {
            tenant.name
            for tenant in self._population.tenants.values()
            if tenant.failed_at is not None and tenant.failed_at > earliest
        }
        candidates = {tenant: last for tenant, last in last_reads.items() if tenant not in skipped}
        overdue = overdue_tenants(candidates, self._clock.datetime, timedelta(seconds=kind.interval))
        return [self._submission(tenant, {SCHEDULE_TAG: kind.name}) for tenant in overdue]

    def _submission(self, name: str, requester: dict[str, str]) -> Action:
        def submit() -> None:
            tenant = self._population.tenants[name]
            run = SimulatedRun(f"{next(self._numbers)}", {PARTITION_TAG: name, **requester}, self._clock.now)
            self._queue.submit(run, tenant.server, tenant.last_seconds)
            self._daemon.notify()

        return submit

    def _execute(self, run: SimulatedRun) -> None:
        """Start a run on a worker."""
        now = self._clock.now
        run.started_at = now
        tenant = self._population.tenants[run.tenant]
        requester = next(tag for tag in (BACKFILL_TAG, SENSOR_TAG, SCHEDULE_TAG) if tag in run.tags)
        self._outcome.waits.setdefault(requester, []).append(now - run.requested_at)
        reconciles = now - tenant.reconciled_at >= 0.9 * self._workload.reconcile.total_seconds()
        mean = sync_times(self._workload, self._times, reconciles=reconciles, changed=len(tenant.unread))
        is_lost = tenant.server in self._lost_servers
        has_failed = is_lost or self._chance.random() < self._scenario.failure_share
        seconds = mean.wall * self._chance.lognormvariate(-(self._sigma**2) / 2, self._sigma)
        if is_lost:
            seconds = _UNREACHABLE_SECONDS
        else:
            self._outcome.sync_requests[tenant.server] += mean.requests

        def end() -> None:
            self._end(run, has_failed=has_failed, reconciles=reconciles)

        self._clock.after(seconds, end)

    def _end(self, run: SimulatedRun, *, has_failed: bool, reconciles: bool) -> None:
        outcome, tenant = self._outcome, self._population.tenants[run.tenant]
        seconds = self._clock.now - run.started_at
        self._queue.end(run)
        outcome.worker_seconds += seconds
        outcome.syncs[tenant.name] += 1
        tenant.last_seconds.append(seconds)
        if BACKFILL_TAG in run.tags:
            self._backfill_runs -= 1
            if not self._backfill_runs and self._scenario.backfill_at is not None:
                outcome.backfill_seconds = self._clock.now - self._scenario.backfill_at
        if has_failed:
            outcome.failed += 1
            tenant.failed_at = run.requested_at
            tenant.was_lost |= tenant.server in self._lost_servers
        else:
            if not tenant.was_lost:
                self._note_gap(run.started_at - tenant.refreshed_at)
            tenant.failed_at, tenant.was_lost = None, False
            for change in self._population.read(tenant, run.started_at, reconciled=reconciles):
                outcome.delays[change.kind].append(self._clock.now - change.at)
        self._daemon.notify()

    def _note_gap(self, seconds: float) -> None:
        self._outcome.longest_gap = max(self._outcome.longest_gap, seconds)
        self._outcome.stale += seconds > self._stale_seconds

    def _plan_changes(self) -> None:
        rate = self._workload.tenants * self._workload.changes / SECONDS_PER_DAY
        if not rate:
            return

        def change() -> None:
            kind: ChangeKind = "version" if self._chance.random() < 0.5 else "tag"
            self._population.change(self._chance.choice(self._population.names), Change(self._clock.now, kind))
            self._clock.after(self._chance.expovariate(rate), change)

        self._clock.after(self._chance.expovariate(rate), change)

    def _plan_incidents(self) -> None:
        scenario, servers = self._scenario, self._population.servers()
        if scenario.outage is not None:
            begin, end = scenario.outage
            lost = servers[: round(len(servers) * scenario.outage_share)]
            self._clock.at(begin, lambda: self._lost_servers.update(lost))
            self._clock.at(end, self._lost_servers.clear)
        if scenario.backfill_at is not None:
            self._backfill_runs = len(self._population.names)
            submissions = [self._submission(name, {BACKFILL_TAG: "backfill"}) for name in self._population.names]
            self._clock.at(scenario.backfill_at, lambda: self._daemon.submit(submissions, lambda: None))
