"""The sensor ``tenants`` requests the first syncs of many new tenants over several ticks, in a fair order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.defs.partitions import partition_keys
from verifywise_mlflow.defs.sensors.first_syncs import TenantsCursor, choose_first_syncs
from verifywise_mlflow.defs.sensors.registry_sensors import tenants
from verifywise_mlflow.defs.sensors.tick_limit import MAX_SYNCS_PER_TICK
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.tenant_activation import active_tenants

NAMES = st.lists(st.integers(0, 3 * MAX_SYNCS_PER_TICK).map("t{}".format), unique=True, max_size=3 * MAX_SYNCS_PER_TICK)


@pytest.fixture
def tenants_file(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a tenants.yaml. Its tenants need no server, since the sensor contacts none."""
    path = tmp_path / "tenants.yaml"
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    return path


def write(tenants_file: Path, names: Sequence[str]) -> None:
    lines = [f"  {name}: {{tracking_uri: 'http://127.0.0.1:9', allow_private_network: true}}" for name in names]
    tenants_file.write_text("\n".join(["tenants:", *lines]) if lines else "tenants: {}")


def tick(instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[str], str | None]:
    """Evaluate the sensor and add the partitions, as the daemon does; return the tenants to sync and the cursor."""
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        result = tenants(context)
    assert isinstance(result, dg.SensorResult)
    for request in result.dynamic_partitions_requests or []:
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return [str(request.partition_key) for request in result.run_requests or []], result.cursor


def test_the_first_syncs_of_many_tenants_are_requested_over_several_ticks_and_none_is_lost(
    tenants_file: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    new = [f"new-{index:03}" for index in range(2 * MAX_SYNCS_PER_TICK + 7)]
    write(tenants_file, ["acme", *new])

    first, cursor = tick(instance, None)
    assert first == new[:MAX_SYNCS_PER_TICK]
    assert partition_keys(instance) == {"acme", *first}, "the others have none, so no other sensor requests their sync"
    assert active_tenants(store) == {"acme", *new}

    # A tenant that somebody adds at the top of the file does not overtake the waiting tenants.
    write(tenants_file, ["late", "acme", *new])
    second, cursor = tick(instance, cursor)
    third, cursor = tick(instance, cursor)
    assert [*second, *third] == [*new[MAX_SYNCS_PER_TICK:], "late"]

    assert tick(instance, cursor) == ([], cursor)
    assert TenantsCursor.from_json(cursor).waiting == ()


def test_a_tenant_that_is_removed_while_it_waits_is_not_synced(
    tenants_file: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    new = [f"new-{index:03}" for index in range(MAX_SYNCS_PER_TICK + 2)]
    write(tenants_file, ["acme", *new])
    _, cursor = tick(instance, None)

    write(tenants_file, ["acme", *new[:-2], new[-1]])

    assert tick(instance, cursor)[0] == [new[-1]]
    assert new[-2] not in active_tenants(store) | partition_keys(instance)


def test_a_lost_cursor_loses_no_tenant(tenants_file: Path, instance: dg.DagsterInstance) -> None:
    new = [f"new-{index:03}" for index in range(MAX_SYNCS_PER_TICK + 1)]
    write(tenants_file, ["acme", *new])
    tick(instance, None)

    assert tick(instance, "0123456789abcdef")[0] == [new[-1]], "the cursor of an earlier release"


@given(configured=NAMES, partitions=st.sets(NAMES.map(lambda names: names[0] if names else "t0")), waiting=NAMES)
def test_each_new_tenant_is_requested_or_waits_and_those_that_waited_come_first(
    configured: list[str], partitions: set[str], waiting: list[str]
) -> None:
    chosen = choose_first_syncs(configured, partitions, waiting)

    in_order = [*chosen.requested, *chosen.waiting]
    new = [name for name in configured if name not in partitions]
    waited = [name for name in waiting if name in new]
    assert in_order == [*waited, *(name for name in new if name not in waited)]
    assert len(chosen.requested) == min(len(new), MAX_SYNCS_PER_TICK)
