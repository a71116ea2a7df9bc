"""The capacity model: figures for workloads that can be computed by hand, and properties for every workload."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity.model import (
    TARGET,
    breaking_point,
    capacity,
    changed_syncs_per_second,
    fitted,
    load_of,
    longest_ticks,
    shards,
)
from benchmarks.capacity.polling import LISTING_POLLS, VERSION_POLLS, PollSettings
from benchmarks.capacity.service_times import ESTIMATED, MEASURED, constants
from benchmarks.capacity.sync_times import sync_times
from benchmarks.capacity.ticks import TICKS
from benchmarks.capacity.workload import Installation, Workload
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.sensors import registry_sensors
from verifywise_mlflow.defs.sensors.poll_tick import ChangePoll
from verifywise_mlflow.instance_settings import INTEGER_SETTINGS
from verifywise_mlflow.tenants.intervals import Intervals

WORKLOADS = st.builds(
    Workload,
    tenants=st.integers(1, 20_000),
    versions=st.integers(0, 50_000),
    changes=st.floats(0, 500),
    tenants_per_server=st.integers(1, 500),
    round_trip=st.floats(0, 0.5),
    reconcile=st.integers(10, 10_000).map(lambda minutes: timedelta(minutes=minutes)),
)


def test_requests_are_those_of_the_polls_and_of_the_syncs() -> None:
    workload = Workload(tenants=600, versions=1_000, changes=0.0, reconcile=timedelta(minutes=60))

    polls = 600 / 60 + 3 * 600 / 300  # models, versions and prompts
    syncs = 600 / (0.95 * 3_600)
    assert capacity(workload, Installation()).syncs_per_second == pytest.approx(syncs)
    # server-info, version, prompts, models, versions, experiments, and five pages of runs
    assert capacity(workload, Installation()).requests_per_second == pytest.approx(polls + 11 * syncs)


def test_runs_that_fit_into_one_request_are_read_by_each_sync() -> None:
    small, large = Workload(1, versions=200), Workload(1, versions=201)

    assert sync_times(small, MEASURED, reconciles=False).requests == 7
    assert sync_times(large, MEASURED, reconciles=False).requests == 5
    assert sync_times(large, MEASURED, reconciles=True).requests == 8


def test_changes_between_two_polls_share_a_sync() -> None:
    rare, frequent = Workload(10, changes=1.0), Workload(10, changes=2 * 86_400.0)

    assert changed_syncs_per_second(rare) == pytest.approx(10 / 86_400, rel=0.01)
    polls = 10 / 60 + 10 / 300
    assert changed_syncs_per_second(frequent) < polls, "no more syncs than polls"


def test_without_tenants_nothing_is_used() -> None:
    nobody = fitted(Workload(tenants=0))

    assert nobody.requests_per_second == 0
    assert nobody.bottleneck.load == 0
    assert not nobody.is_overloaded
    assert shards(Workload(tenants=0))[0] == 1


def test_an_overload_has_the_name_of_its_bottleneck() -> None:
    busy = Workload(tenants=400)

    assert not fitted(busy).is_overloaded
    too_few = capacity(busy, Installation(workers=1), replace(MEASURED, sync=30_000.0))
    assert too_few.is_overloaded
    assert too_few.bottleneck.name == "workers"
    one_server = fitted(replace(busy, tenants_per_server=400), replace(MEASURED, sync=30_000.0))
    assert one_server.is_overloaded
    assert one_server.bottleneck.name == "slots of a server"
    many = fitted(Workload(tenants=100_000))
    assert many.is_overloaded
    assert many.bottleneck.load == max(resource.load for resource in many.resources)


@given(WORKLOADS, st.integers(1, 200), st.integers(1, 50))
def test_more_workers_never_raise_a_wait_or_a_load(workload: Workload, workers: int, more: int) -> None:
    few, many = (capacity(workload, Installation(workers=count)) for count in (workers, workers + more))

    assert many.schedule_wait <= few.schedule_wait
    assert many.sensor_wait <= few.sensor_wait
    assert many.resources[0].load < few.resources[0].load or not few.resources[0].load
    assert many.connections > few.connections


@given(WORKLOADS, st.integers(1, 1_000))
def test_more_tenants_never_take_less(workload: Workload, more: int) -> None:
    more_tenants = replace(workload, tenants=workload.tenants + more)

    few, many = fitted(workload), fitted(more_tenants)
    assert many.installation.workers >= few.installation.workers
    assert many.requests_per_second > few.requests_per_second
    assert many.store_bytes >= few.store_bytes
    one, other = (longest_ticks(each, MEASURED) for each in (workload, more_tenants))
    assert all(other[name] > seconds for name, seconds in one.items())


@pytest.mark.parametrize("resource", [resource.name for resource in fitted(Workload(100)).resources[2:]])
def test_a_resource_is_exhausted_at_its_breaking_point_and_not_before(resource: str) -> None:
    point = breaking_point(Workload(0), load_of(resource))

    if point is None:
        assert resource == "slots of a server", "more tenants have more servers"
        return

    def load(tenants: int) -> float:
        workload = Workload(tenants)
        installation = Installation(fitted(workload).installation.workers)
        return load_of(resource)(capacity(workload, installation))

    assert load(point) >= 1 > load(point - 1)


def test_tenants_are_divided_until_nothing_is_used_too_much() -> None:
    count, each = shards(Workload(tenants=10_000))

    assert count * each.workload.tenants >= 10_000
    assert each.bottleneck.load <= TARGET
    assert fitted(Workload(tenants=10_000 // (count - 1))).bottleneck.load > TARGET, "no fewer would do"


def test_a_tenant_that_is_too_much_for_an_installation_is_said_to_be() -> None:
    with pytest.raises(ValueError, match="too much for any number of installations"):
        shards(Workload(tenants=40, tenants_per_server=20, versions=200_000, reconcile=timedelta(minutes=2)))


def test_ticks_that_begin_together_take_as_long_as_all_of_them() -> None:
    nothing_else = dict.fromkeys(
        ("decide_tenant", "transaction", "transaction_wait", "poll", "listing", "listed_version"), 0.0
    )
    times = replace(MEASURED, parse_tenant=2.0, **nothing_else)

    ticks = longest_ticks(Workload(tenants=1_000), times)

    assert ticks == pytest.approx({kind.name: 7 * 2.0 for kind in TICKS})


@pytest.mark.parametrize("name", [kind.name for kind in TICKS])
def test_the_ticks_are_those_of_the_product(name: str) -> None:
    kind = next(kind for kind in TICKS if kind.name == name)
    repository = defs.get_repository_def()
    if kind.is_schedule:
        cron = repository.get_schedule_def(name).cron_schedule
        assert cron == f"*/{kind.interval / 60:.0f} * * * *"
    else:
        assert repository.get_sensor_def(name).minimum_interval_seconds == kind.interval


@pytest.mark.parametrize(
    ("settings", "poll"),
    [
        (VERSION_POLLS, registry_sensors._NEWEST_UPDATES_POLL),
        (LISTING_POLLS, registry_sensors._LISTING_POLL),
    ],
)
def test_the_polls_have_the_limits_of_the_product(settings: PollSettings, poll: ChangePoll[object, object]) -> None:
    assert settings.budget_seconds == poll.budget_seconds
    assert settings.max_probe_seconds == poll.max_probe_seconds
    assert settings.max_probes == poll.pool._max_probes
    assert settings.probes_per_server == poll.pool._max_probes_per_server


def test_an_installation_with_default_settings_has_the_defaults_of_the_product() -> None:
    assert Installation().environment() == {
        name: str(INTEGER_SETTINGS[name][0]) for name in Installation().environment()
    }
    days = (INTEGER_SETTINGS[f"VERIFYWISE_{name}RUN_RETENTION_DAYS"][0] for name in ("UNCHANGED_", ""))
    assert (Installation().unchanged_run_days, Installation().run_days) == tuple(days)
    workload, intervals = Workload(1), Intervals()
    assert (workload.poll, workload.listing, workload.reconcile) == (
        intervals.poll,
        intervals.listing,
        intervals.reconcile,
    )


def test_each_constant_names_the_command_that_measured_it_or_is_called_an_estimate() -> None:
    for constant in constants():
        assert constant.value > 0, constant.name
        assert constant.what, constant.name
        assert constant.source.startswith(("python -m benchmarks.", ESTIMATED)), constant.name
