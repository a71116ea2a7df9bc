"""The run queue of the simulation. It uses the product's rules and limits, and Dagster's own counter of limits.

Dagster reads all queued runs at each check. Here, runs with the same priority and the same limited tags form one line.
Only the first run of a line can start next. So the cost depends on the number of lines, not on the number of queued
runs.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import dagster as dg
from dagster import DagsterRunStatus as Status
from dagster._utils.tags import TagConcurrencyLimitsCounter

from verifywise_mlflow.dagster_yaml import instance_config
from verifywise_mlflow.defs.run_queue.priorities import effective_priority
from verifywise_mlflow.defs.run_queue.queue_rules import QueuedRun, deduplicate, is_slow, missing_queue_tags
from verifywise_mlflow.defs.run_tags import BACKFILL_TAG, PARTITION_TAG, PRIORITY_TAG, SERVER_TAG, SPEED_TAG, SYNC_JOB
from verifywise_mlflow.instance_settings import integer_setting

_LIMITED_TAGS = (SERVER_TAG, SPEED_TAG, BACKFILL_TAG)
"""The tags of ``tag_concurrency_limits`` that many runs share. The partition is not among them, since each tenant has
its own."""

_Line = tuple[int, tuple[str | None, ...]]


@dataclass(slots=True)
class SimulatedRun:
    """A run, with the attributes of Dagster's run that the product's rules read."""

    run_id: str
    tags: dict[str, str]
    requested_at: float
    status: Status = Status.QUEUED
    job_name: str = SYNC_JOB
    started_at: float = 0.0

    @property
    def tenant(self) -> str:
        """The tenant."""
        return self.tags[PARTITION_TAG]


def as_dagster_runs(runs: Iterable[SimulatedRun]) -> list[dg.DagsterRun]:
    """Return simulated runs in the type of a rule that reads only the attributes that they have."""
    return cast("list[dg.DagsterRun]", list(runs))


@dataclass(slots=True)
class RunQueue:
    """Queued and started runs."""

    environment: Mapping[str, str]
    """The variables that ``dagster.yaml`` is generated from."""
    started: dict[str, SimulatedRun] = field(default_factory=dict)
    canceled: int = 0
    """The number of runs that were not queued, or were removed from the queue, because they were duplicates."""
    longest: int = 0
    """The maximum number of runs that were queued at the same time."""
    max_concurrent_runs: int = field(init=False)
    _limits: Sequence[Mapping[str, Any]] = field(init=False)
    _slow_seconds: int = field(init=False)
    _max_syncs: int = field(init=False)
    _lines: dict[_Line, dict[int, SimulatedRun]] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)
    """The place of each queued run in the order of submission."""
    _by_tenant: dict[str, list[SimulatedRun]] = field(default_factory=dict)
    _submitted: int = 0

    def __post_init__(self) -> None:
        """Read the limits from the instance's configuration."""
        concurrency = cast("Mapping[str, Mapping[str, Any]]", instance_config(self.environment)["concurrency"])
        self._limits = concurrency["runs"]["tag_concurrency_limits"]
        self.max_concurrent_runs = concurrency["runs"]["max_concurrent_runs"]
        self._slow_seconds = integer_setting(self.environment, "VERIFYWISE_SLOW_SYNC_SECONDS")
        self._max_syncs = integer_setting(self.environment, "VERIFYWISE_MAX_CONCURRENT_SYNCS")

    @property
    def length(self) -> int:
        """The number of queued runs."""
        return len(self._places)

    @property
    def in_flight(self) -> Iterable[SimulatedRun]:
        """Queued and started runs."""
        return [*self.started.values(), *(run for runs in self._by_tenant.values() for run in runs)]

    def submit(self, run: SimulatedRun, server: str, last_seconds: Sequence[float]) -> None:
        """Tag and deduplicate a run, and queue it, as the coordinator does."""
        run.tags |= missing_queue_tags(run.tags, server, is_slow=is_slow(last_seconds, self._slow_seconds))
        queued = {each.run_id: each for each in self._by_tenant.get(run.tenant, ())}
        duplicate = deduplicate(_queued_run(run), [_queued_run(each) for each in queued.values()])
        if duplicate is None:
            self._add(run)
            return
        self.canceled += 1
        if duplicate.canceled.run_id == run.run_id:
            self.promote(queued[duplicate.retained.run_id], duplicate.priority)
        else:
            run.tags[PRIORITY_TAG] = str(duplicate.priority)
            self._add(run)
            self._remove(queued[duplicate.canceled.run_id])

    def promote(self, run: SimulatedRun, priority: int) -> None:
        """Change the priority of a queued run; its place in the order of submission stays."""
        place = self._places[run.run_id]
        self._remove(run)
        run.tags[PRIORITY_TAG] = str(priority)
        self._add(run, place)

    def queued_run(self, run_id: str, tenant: str) -> SimulatedRun | None:
        """Return a run of a tenant if it is still queued."""
        return next((run for run in self._by_tenant.get(tenant, ()) if run.run_id == run_id), None)

    def startable(self) -> list[SimulatedRun]:
        """Return the runs that Dagster's daemon would start now, in order."""
        free = min(self.max_concurrent_runs, self._max_syncs) - len(self.started)
        if free <= 0 or not self._places:
            return []
        counter = TagConcurrencyLimitsCounter(self._limits, as_dagster_runs(self.started.values()))
        tenants = {run.tenant for run in self.started.values()}
        chosen: list[SimulatedRun] = []
        heads = [(-key[0], min(line), key) for key, line in self._lines.items()]
        heapq.heapify(heads)
        while heads and len(chosen) < free:
            _, place, key = heapq.heappop(heads)
            line = self._lines[key]
            (run,) = as_dagster_runs([line[place]])
            if not counter.is_blocked(run):
                counter.update_counters_with_launched_item(run)
                chosen.append(line[place])
            elif line[place].tenant not in tenants:
                continue  # The run's own tenant does not block it, so a limit blocks the whole line.
            tenants.add(line[place].tenant)
            if (following := min((other for other in line if other > place), default=None)) is not None:
                heapq.heappush(heads, (-key[0], following, key))
        return chosen

    def start(self, run: SimulatedRun) -> None:
        """Take a run from the queue."""
        self._remove(run)
        run.status = Status.STARTED
        self.started[run.run_id] = run

    def end(self, run: SimulatedRun) -> None:
        """Free a run's slot."""
        del self.started[run.run_id]

    def _add(self, run: SimulatedRun, place: int | None = None) -> None:
        if place is None:
            self._submitted += 1
            place = self._submitted
        self._places[run.run_id] = place
        self._lines.setdefault(_line(run), {})[place] = run
        self._by_tenant.setdefault(run.tenant, []).append(run)
        self.longest = max(self.longest, len(self._places))

    def _remove(self, run: SimulatedRun) -> None:
        line = self._lines[_line(run)]
        del line[self._places.pop(run.run_id)]
        if not line:
            del self._lines[_line(run)]
        self._by_tenant[run.tenant].remove(run)
        if not self._by_tenant[run.tenant]:
            del self._by_tenant[run.tenant]


def _line(run: SimulatedRun) -> _Line:
    return effective_priority(run.tags), tuple(run.tags.get(tag) for tag in _LIMITED_TAGS)


def _queued_run(run: SimulatedRun) -> QueuedRun:
    return QueuedRun(run.run_id, run.tags, (run.job_name,))
