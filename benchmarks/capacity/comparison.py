"""The tables: figures of the model, observations of the simulation, and the breaking points of an installation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, inf
from multiprocessing import get_context
from statistics import fmean

from benchmarks.capacity.model import Capacity, Load, breaking_point, fitted, load_of, shards
from benchmarks.capacity.service_times import ESTIMATED, MEASURED, ServiceTimes, constants
from benchmarks.capacity.simulation import Outcome, Scenario, Simulation
from benchmarks.capacity.workload import Installation, Workload
from benchmarks.tables import MarkdownTable
from verifywise_mlflow.defs.run_tags import BACKFILL_TAG, SCHEDULE_TAG, SENSOR_TAG

SIZES = (10, 100, 1_000, 10_000)
_GIGABYTE, _TERABYTE = 1e9, 1e12


@dataclass(frozen=True, slots=True)
class Simulated:
    """The installations of one workload after a simulated day."""

    model: Capacity
    """The capacity model of one installation."""
    outcomes: Sequence[Outcome]
    cpu_seconds: float
    """The CPU time of the simulation."""

    @property
    def tenants(self) -> int:
        """The number of tenants of all installations."""
        return self.model.workload.tenants * len(self.outcomes)

    def total(self, value: Callable[[Outcome], float]) -> float:
        """Return the sum over all installations."""
        return sum(map(value, self.outcomes))

    def values(self, values: Callable[[Outcome], Sequence[float]]) -> list[float]:
        """Return the values of all installations, in order of size."""
        return sorted(value for outcome in self.outcomes for value in values(outcome))


def simulate(
    model: Capacity, installations: int, scenario: Scenario, times: ServiceTimes = MEASURED, processes: int = 1
) -> Simulated:
    """Simulate the installations, each with a different seed, in this number of processes."""
    scenarios = [replace(scenario, seed=scenario.seed + number) for number in range(installations)]
    run = partial(_simulate_one, model, times)
    if processes > 1:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
            results = list(executor.map(run, scenarios))
    else:
        results = list(map(run, scenarios))
    return Simulated(model, [outcome for outcome, _ in results], sum(seconds for _, seconds in results))


def _simulate_one(model: Capacity, times: ServiceTimes, scenario: Scenario) -> tuple[Outcome, float]:
    """Return the observations of one installation, and the CPU seconds of the simulation."""
    began = time.process_time()
    outcome = Simulation(model.workload, model.installation, scenario, times).run()
    return outcome, time.process_time() - began


def constants_table(times: ServiceTimes = MEASURED) -> MarkdownTable:
    """Return the measured constants."""
    rows = [
        (
            each.what,
            f"{each.value:,g} {each.unit}".strip(),
            each.source if each.source.startswith(ESTIMATED) else f"`{each.source}`",
        )
        for each in constants(times)
    ]
    return MarkdownTable("capacity-constants", ("constant", "value", "measured by, or estimated from"), rows)


def sizes_table(name: str, workload: Workload, settings: Installation, times: ServiceTimes = MEASURED) -> MarkdownTable:
    """Return the load of each number of tenants."""
    rows = []
    for tenants in SIZES:
        count, each = shards(replace(workload, tenants=tenants), times, settings)
        rows.append(
            (
                f"{tenants:,}",
                f"{count}",
                f"{count * each.installation.workers}",
                f"{count * each.worker_cores:.1f}",
                f"{count * each.installation.code_servers}",
                f"{count * each.postgres_cores:.1f}",
                f"{count * each.connections}",
                _size(count * each.store_bytes),
                _size(count * each.store_bytes_per_year),
                _size(count * each.dagster_bytes),
                f"{count * each.requests_per_second:,.1f}",
                f"{each.requests_per_second_per_server:.2f}",
                f"{each.bottleneck.name}, {each.bottleneck.load:.0%}",
            )
        )
    headings = (
        *("tenants", "installations", "workers", "their cores", "code servers", "cores of Postgres", "connections"),
        *("store", "its growth in a year", "Dagster's database", "requests a second", "to each server"),
        "most used",
    )
    return MarkdownTable(name, headings, rows)


def _size(size: float) -> str:
    return f"{size / _GIGABYTE:,.0f} GB" if size >= 10 * _GIGABYTE else f"{size / _GIGABYTE:,.1f} GB"


_OTHER_LIMITS: Mapping[str, Load] = {
    "Postgres' default of 100 connections": lambda each: each.connections / 100,
    "four cores of Postgres": lambda each: each.postgres_cores / 4,
    "1 TB of Dagster's database": lambda each: each.dagster_bytes / _TERABYTE,
    "1 TB of the store in its first year": lambda each: (each.store_bytes + each.store_bytes_per_year) / _TERABYTE,
}
"""Limits that are not resources of an installation: a larger Postgres raises them."""


def breaks_table(workload: Workload, times: ServiceTimes = MEASURED) -> MarkdownTable:
    """Return at which number of tenants one installation exhausts each resource."""
    rarer = replace(workload, reconcile=4 * workload.reconcile)
    cases = ((workload, 1), (workload, 4), (rarer, 4))
    loads = {name: load_of(name) for name in (resource.name for resource in fitted(workload, times).resources[2:])}
    loads |= _OTHER_LIMITS
    points = {
        name: [breaking_point(each, load, times, code_servers) for each, code_servers in cases]
        for name, load in loads.items()
    }
    rows = [
        (name, *(f"{point:,}" if point else "more than a million" for point in row))
        for name, row in sorted(points.items(), key=lambda item: item[1][0] or inf)
    ]
    hours = rarer.reconcile.total_seconds() / 3_600
    headings = ("resource", "exhausted at", "with four code servers", f"and a reconcile every {hours:g} h")
    return MarkdownTable("capacity-breaks", headings, rows)


@dataclass(frozen=True, slots=True)
class Agreement:
    """One figure of the model and of the simulation."""

    name: str
    model: float
    simulated: float
    unit: str = ""

    @property
    def cells(self) -> tuple[str, str, str]:
        """The figure as a row."""
        model, simulated = (f"{value:,.3g} {self.unit}".strip() for value in (self.model, self.simulated))
        return self.name, model, simulated


def agreements(simulated: Simulated) -> Iterator[Agreement]:
    """Yield each figure that both the model and the simulation have, for all installations together."""
    model, count, seconds = simulated.model, len(simulated.outcomes), simulated.outcomes[0].seconds
    workload = model.workload
    syncs = simulated.total(lambda outcome: outcome.syncs.total())
    yield Agreement("syncs", count * model.syncs_per_second * seconds, syncs)
    requests = simulated.total(
        lambda outcome: (
            outcome.polls.total() + outcome.listings.total() * workload.listing_requests + outcome.sync_requests.total()
        )
    )
    yield Agreement("requests a second", count * model.requests_per_second, requests / seconds)
    yield Agreement(
        "busy workers",
        count * model.syncs_per_second * model.sync_seconds,
        simulated.total(lambda outcome: outcome.worker_seconds) / seconds,
    )
    yield Agreement(
        "load of the code server's core",
        model.code_server_load,
        fmean(outcome.code_server_load for outcome in simulated.outcomes),
    )
    yield Agreement(
        "load of the daemon's core", model.daemon_load, fmean(outcome.daemon_load for outcome in simulated.outcomes)
    )
    yield Agreement(
        "longest tick",
        max(model.tick_seconds.values()),
        max(max(ticks.seconds, default=0.0) for outcome in simulated.outcomes for ticks in outcome.ticks.values()),
        "s",
    )
    for name, expected, tag in (
        ("mean wait of a schedule's runs", model.schedule_wait, SCHEDULE_TAG),
        ("mean wait of a sensor's runs", model.sensor_wait, SENSOR_TAG),
    ):
        waits = simulated.values(lambda outcome, tag=tag: outcome.waits.get(tag, []))  # type: ignore[misc]
        yield Agreement(name, expected, fmean(waits) if waits else 0.0, "s")


def agreement_table(simulated: Simulated) -> MarkdownTable:
    """Return the figures of the model next to the figures of the simulation, for an ordinary day."""
    rows = [each.cells for each in agreements(simulated)]
    return MarkdownTable(
        "capacity-agreement",
        ("an ordinary day", "model", "simulation"),
        rows,
        _description(simulated),
    )


def days_table(days: Sequence[tuple[str, Simulated]]) -> MarkdownTable:
    """Return what each simulated day was like for the tenants."""
    columns = [_day(simulated) for _, simulated in days]
    rows = [(name, *(dict(column)[name] for column in columns)) for name, _ in columns[0]]
    return MarkdownTable("capacity-days", ("", *(title for title, _ in days)), rows)


def _day(simulated: Simulated) -> Sequence[tuple[str, str]]:
    waits = {
        tag: simulated.values(lambda outcome, tag=tag: outcome.waits.get(tag, []))  # type: ignore[misc]
        for tag in (SENSOR_TAG, SCHEDULE_TAG, BACKFILL_TAG)
    }
    backfills = [each.backfill_seconds for each in simulated.outcomes if each.backfill_seconds is not None]
    polls = simulated.total(lambda outcome: outcome.polls.total() + outcome.listings.total())
    return (
        ("installations, workers", f"{len(simulated.outcomes)}, {_workers(simulated)}"),
        ("syncs, failed ones", f"{_count(simulated, _syncs)}, {_count(simulated, lambda each: each.failed)}"),
        ("runs canceled as duplicates", _count(simulated, lambda each: each.canceled)),
        ("polls", f"{polls:,.0f}"),
        ("polls a tick later than due", _count(simulated, lambda each: each.late_polls)),
        ("ticks that took more than a minute", _count(simulated, lambda each: each.discarded_ticks)),
        ("a new version, until it was read", _spread(simulated.values(lambda each: each.delays["version"]))),
        ("a tag, until it was read", _spread(simulated.values(lambda each: each.delays["tag"]))),
        ("wait of a sensor's runs", _spread(waits[SENSOR_TAG])),
        ("wait of a schedule's runs", _spread(waits[SCHEDULE_TAG])),
        ("wait of a backfill's runs", _spread(waits[BACKFILL_TAG])),
        ("longest queue", f"{max(each.longest_queue for each in simulated.outcomes):,} runs"),
        ("time of the backfill", f"{max(backfills) / 60:,.0f} min" if backfills else ""),
        ("longest time between two syncs of a tenant", f"{_longest_gap(simulated) / 60:,.0f} min"),
        ("times that a tenant was stale", _count(simulated, lambda each: each.stale)),
        ("changes older than an hour that no sync had read", _count(simulated, lambda each: each.unread)),
        ("CPU time of the simulation", f"{simulated.cpu_seconds:.0f} s"),
    )


def _syncs(outcome: Outcome) -> float:
    return outcome.syncs.total()


def _count(simulated: Simulated, value: Callable[[Outcome], float]) -> str:
    return f"{simulated.total(value):,.0f}"


def _workers(simulated: Simulated) -> int:
    return len(simulated.outcomes) * simulated.model.installation.workers


def _longest_gap(simulated: Simulated) -> float:
    return max(each.longest_gap for each in simulated.outcomes)


def _spread(values: Sequence[float]) -> str:
    """Return the median, the 99th percentile and the maximum of sorted values."""
    if not values:
        return ""
    percentile = values[min(ceil(0.99 * len(values)), len(values) - 1)]
    return f"{values[len(values) // 2]:,.1f}, {percentile:,.1f}, {values[-1]:,.1f} s"


def _description(simulated: Simulated) -> str:
    return (
        f"{simulated.tenants:,} tenants on {len(simulated.outcomes)} installations with "
        f"{simulated.model.installation.workers} workers each, {simulated.outcomes[0].seconds / 3_600:g} hours."
    )
