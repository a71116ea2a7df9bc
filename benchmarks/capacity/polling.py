"""The two polling sensors in the simulation. The product's code decides; requests are replaced by measured times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from benchmarks.capacity.clock import START, Action, Clock, SharedCore
from benchmarks.capacity.code_server import Work
from benchmarks.capacity.population import ChangeKind, Population
from benchmarks.capacity.run_queue import RunQueue, as_dagster_runs
from benchmarks.capacity.service_times import ServiceTimes
from verifywise_mlflow.defs.run_queue.active_runs import InFlightSyncs, classify_in_flight
from verifywise_mlflow.defs.run_queue.priorities import SENSOR_PRIORITY
from verifywise_mlflow.defs.sensors.poll_cursor import PollCursor
from verifywise_mlflow.defs.sensors.poll_decision import PollFailed, PollResult, PollSucceeded, decide, due_tenants

_UNCHANGED = PollSucceeded(None)
_CONNECT_TIMEOUT_SECONDS = 3.0
"""The time of a probe of a server that does not respond."""
_LEAST_SHARE = 0.15
"""The minimum share of the core that a tick gets, with six other threads."""


@dataclass(frozen=True, slots=True)
class PollSettings:
    """A polling sensor's constants. A test compares them with the constants of the product's sensors."""

    kind: ChangeKind
    """What the sensor detects. The newest timestamp shows only new versions; the listings also show tags."""
    max_probes: int
    budget_seconds: float
    max_probe_seconds: float
    probes_per_server: int = 2

    @property
    def starting_seconds(self) -> float:
        """The time, from the beginning of a tick's polls, in which it starts further polls."""
        return self.budget_seconds - self.max_probe_seconds


VERSION_POLLS = PollSettings("version", max_probes=32, budget_seconds=40.0, max_probe_seconds=12.0)
LISTING_POLLS = PollSettings("tag", max_probes=16, budget_seconds=40.0, max_probe_seconds=20.0)


@dataclass(slots=True)
class PollingSensor:
    """One of the two sensors."""

    settings: PollSettings
    interval: timedelta
    probe_seconds: float
    """The time of a probe of a healthy server, including the connection."""
    probe_cpu_seconds: float
    """The time on the code server's core, including the transaction that compares its result with the store."""
    population: Population
    queue: RunQueue
    clock: Clock
    times: ServiceTimes
    lost_servers: Collection[str]
    """The servers that do not respond. This collection changes during the simulation."""
    submission: Callable[[str, str], Action]
    """Returns a function that submits a run of a tenant for a sensor."""
    name: str = ""
    cursor: PollCursor = field(default_factory=lambda: PollCursor(ticked_at=START))
    polled: Counter[str] = field(default_factory=Counter)
    """The number of polls by tenant, including failed polls."""
    late: int = 0
    """The number of due polls that had to wait for the next tick, since the tick had no time left."""

    def begin(self, core: SharedCore) -> Work:
        """Poll the tenants that are due, in the order and within the limits of the product."""
        tenants, now = len(self.population.names), self.clock.datetime
        intervals = dict.fromkeys(self.population.names, self.interval)
        due = due_tenants(intervals, self.cursor, now)
        in_flight = list(self.queue.in_flight)
        before = classify_in_flight(as_dagster_runs(in_flight))
        idle = [name for name in due if name not in before.busy] if before.busy else due
        started, network_seconds = self._started(idle, core)
        self.polled.update(started)
        self.late += len(idle) - len(started)
        results = self._results(started)
        preparation = tenants * (self.times.parse_tenant + self.times.decide_tenant) / 1e3
        preparation += 2 * len(in_flight) * self.times.read_run / 1e3
        return Work(
            preparation + len(started) * self.probe_cpu_seconds,
            lambda: self._decide(now, intervals, due, results, before),
            least_seconds=preparation + core.delay(preparation) + network_seconds,
        )

    def _started(self, idle: Sequence[str], core: SharedCore) -> tuple[Sequence[str], float]:
        """Return the tenants whose probe starts in time, and how long the threads wait for the servers.

        The probes are not simulated one by one. They start at the rate that the threads, the servers and the
        interpreter allow.
        """
        settings = self.settings
        if self.lost_servers:
            lost_per_server: Counter[str] = Counter()
            most = int(settings.probes_per_server * settings.starting_seconds / _CONNECT_TIMEOUT_SECONDS)
            possible = []
            for name in idle:
                server = self.population.tenants[name].server
                if server in self.lost_servers:
                    lost_per_server[server] += 1
                    if lost_per_server[server] > most:
                        continue
                possible.append(name)
            idle = possible
            lost = min(lost_per_server.total(), most * len(lost_per_server))
        else:
            lost = 0
        total = (len(idle) - lost) * self.probe_seconds + lost * _CONNECT_TIMEOUT_SECONDS
        pace = total / settings.max_probes / max(len(idle), 1)
        cpu = self.probe_cpu_seconds
        delay = core.delay(len(idle) * cpu)
        count = len(idle)
        if count * pace > settings.starting_seconds:
            count = int(settings.starting_seconds / pace)
        own_seconds = max(settings.starting_seconds - delay, _LEAST_SHARE * settings.starting_seconds)
        if count * cpu > own_seconds:
            count = int(own_seconds / cpu)
        return idle[:count], count * pace

    def _results(self, started: Sequence[str]) -> Mapping[str, PollResult]:
        results: dict[str, PollResult] = dict.fromkeys(started, _UNCHANGED)
        for name in self.population.changed & results.keys():
            results[name] = PollSucceeded(self.population.tenants[name].token(self.settings.kind))
        if self.lost_servers:
            for name in started:
                if self.population.tenants[name].server in self.lost_servers:
                    results[name] = PollFailed("the server does not respond")
        return results

    def _decide(
        self,
        now: datetime,
        intervals: Mapping[str, timedelta],
        due: Sequence[str],
        results: Mapping[str, PollResult],
        before: InFlightSyncs,
    ) -> Sequence[Action]:
        after = classify_in_flight(as_dagster_runs(self.queue.in_flight))
        in_flight = before.busy | after.busy | after.promotable.keys()
        decision = decide(self.cursor, now, intervals, due, results, in_flight)
        self.cursor = decision.cursor
        for name in decision.awaiting_sync & after.promotable.keys():
            run = self.queue.queued_run(after.promotable[name], name)
            if run is not None:
                self.queue.promote(run, SENSOR_PRIORITY)
        return [self.submission(name, self.name) for name in decision.tenants_to_sync]
