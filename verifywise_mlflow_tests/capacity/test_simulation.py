"""The simulation agrees with the model, lets no tenant starve, and shows the effect of an overload."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from benchmarks.capacity.clock import Clock, SharedCore
from benchmarks.capacity.comparison import agreements, days_table, simulate
from benchmarks.capacity.model import capacity, fitted
from benchmarks.capacity.service_times import MEASURED
from benchmarks.capacity.simulation import Outcome, Scenario, Simulation
from benchmarks.capacity.workload import Installation, Workload
from verifywise_mlflow.defs.run_tags import BACKFILL_TAG, SENSOR_TAG

HOUR = 3_600.0
TOLERANCES = {
    "syncs": 0.05,
    "requests a second": 0.03,
    "busy workers": 0.1,
    "load of the code server's core": 0.1,
    "load of the daemon's core": 0.2,
    "longest tick": 0.25,
    "mean wait of a schedule's runs": 0.5,
    "mean wait of a sensor's runs": 0.5,
}
"""The maximum difference between simulation and model, relative to the model."""
WAIT_TOLERANCE_SECONDS = 1.0
"""The maximum difference for short waits."""


def run(workload: Workload, scenario: Scenario, workers: int = 4, times: object = MEASURED) -> Outcome:
    assert isinstance(times, type(MEASURED))
    return Simulation(workload, Installation(workers), scenario, times).run()


@pytest.mark.parametrize(
    "workload",
    [
        Workload(100),
        Workload(150, versions=1_000, changes=20.0),
        Workload(200, changes=0.5, tenants_per_server=40, reconcile=timedelta(hours=2), poll=timedelta(minutes=5)),
        Workload(400, round_trip=0.1),
    ],
    ids=["small", "large registries that often change", "rare reconciles", "distant"],
)
def test_the_model_and_the_simulation_agree(workload: Workload) -> None:
    simulated = simulate(fitted(workload), 1, Scenario(seconds=4 * HOUR))

    for figure in agreements(simulated):
        absolute = WAIT_TOLERANCE_SECONDS if "wait" in figure.name else 0.0
        expected = pytest.approx(figure.model, rel=TOLERANCES[figure.name], abs=absolute)
        assert figure.simulated == expected, figure.name


def test_a_seed_determines_everything() -> None:
    scenario = Scenario(seconds=2 * HOUR, seed=5, backfill_at=HOUR)
    first, second = (run(Workload(60), scenario) for _ in range(2))

    assert asdict(first) == asdict(second)
    assert asdict(run(Workload(60), replace(scenario, seed=6))) != asdict(first)


def test_every_tenant_is_polled_each_minute() -> None:
    outcome = run(Workload(200), Scenario(seconds=2 * HOUR))

    assert len(outcome.polls) == 200
    assert min(outcome.polls.values()) >= 115, "a tenant whose sync runs waits for the next tick"
    assert max(outcome.polls.values()) <= 120
    assert outcome.late_polls == 0


def test_no_tenant_starves_if_there_are_too_few_workers() -> None:
    slow = replace(MEASURED, sync=30_000.0)
    workload = Workload(200, changes=0.0, poll=timedelta(hours=1), listing=timedelta(hours=1))
    assert capacity(workload, Installation(1), slow).bottleneck.name == "workers"

    outcome = run(workload, Scenario(seconds=6 * HOUR), workers=1, times=slow)

    assert len(outcome.syncs) == 200
    assert max(outcome.syncs.values()) - min(outcome.syncs.values()) <= 2
    assert outcome.worker_seconds > 0.95 * outcome.seconds, "the worker is never idle"


def test_a_lost_server_costs_its_own_tenants_only() -> None:
    scenario = Scenario(seconds=4 * HOUR, failure_share=0.0, outage=(HOUR, 2 * HOUR), outage_share=0.2)
    workload = Workload(100, changes=10.0)
    outcome, ordinary = (run(workload, each) for each in (scenario, replace(scenario, outage=None)))

    assert 0 < outcome.failed <= 3 * 20, "a failed tenant is left alone for an hour"
    assert ordinary.failed == 0
    assert outcome.stale == ordinary.stale == 0
    assert max(outcome.waits[SENSOR_TAG]) <= max(ordinary.waits[SENSOR_TAG]) + 20
    assert outcome.unread == 0, "the lost tenants are read again"


def test_a_backfill_ends_and_does_not_hold_up_sensors() -> None:
    outcome = run(Workload(200, changes=40.0), Scenario(seconds=3 * HOUR, backfill_at=HOUR))

    assert outcome.backfill_seconds is not None
    assert len(outcome.waits[BACKFILL_TAG]) == 200, "a backfill keeps all of its runs"
    assert outcome.longest_queue > 50
    assert max(outcome.waits[SENSOR_TAG]) < 15
    assert outcome.canceled > 0, "syncs of tenants that the backfill had queued"


def test_ticks_that_take_too_long_are_discarded_and_their_bottleneck_is_named() -> None:
    slow = replace(MEASURED, parse_tenant=200.0)
    workload = Workload(200)

    assert fitted(workload, slow).is_overloaded
    assert fitted(workload, slow).bottleneck.name in ("core of the code server", "time of a tick")
    outcome = run(workload, Scenario(seconds=2 * HOUR), times=slow)
    assert outcome.discarded_ticks > 0
    assert outcome.code_server_load > 0.95


def test_without_tenants_nothing_happens() -> None:
    outcome = run(Workload(0), Scenario(seconds=HOUR, backfill_at=60.0, outage=(60.0, 120.0)))

    assert (outcome.syncs.total(), outcome.polls.total(), outcome.worker_seconds) == (0, 0, 0.0)


def test_the_table_of_a_day_has_a_column_for_each_scenario() -> None:
    day = simulate(fitted(Workload(20)), 2, Scenario(seconds=HOUR))
    table = days_table([("quiet", day), ("busy", day)]).markdown().splitlines()

    assert table[0] == "|  | quiet | busy |"
    assert "| installations, workers | 2, 4 | 2, 4 |" in table
    assert day.tenants == 40
    assert day.outcomes[0].syncs != day.outcomes[1].syncs, "each has a seed of its own"


def test_jobs_share_a_core() -> None:
    clock = Clock()
    core = SharedCore(clock)
    ended: list[tuple[str, float]] = []

    def begin(name: str, seconds: float) -> None:
        core.use(seconds, lambda: ended.append((name, clock.now)))

    begin("long", 4.0)
    clock.at(2.0, lambda: begin("short", 1.0))
    clock.run_until(10.0)

    assert ended == [("short", 4.0), ("long", 5.0)]
    assert core.busy_seconds == pytest.approx(5.0)
