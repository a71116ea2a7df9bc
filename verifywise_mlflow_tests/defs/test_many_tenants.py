"""A tick over 500 tenants, of whom 50 hang and 50 refuse, through Dagster's own evaluation of the sensor.

What a tick takes is logged: ``pytest --log-cli-level=INFO verifywise_mlflow_tests/defs/test_many_tenants.py``.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.sensors.poll_cursor import MAX_SYNCS_PER_TICK, PollCursor
from verifywise_mlflow.defs.sensors.registry_sensors import new_versions
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.change_polls import fetch_newest_version_time
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.registry import Registry

LOG = logging.getLogger(__name__)

DAGSTER_GIVES_SECONDS = 60
WELL = [f"well-{index:03}" for index in range(400)]
HANGING = [f"hanging-{index:02}" for index in range(50)]
REFUSING = [f"refusing-{index:02}" for index in range(50)]


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """A port for each tenant that is not well: whoever hangs takes connections and never says a word."""
    with ExitStack() as opened:
        found = {}
        for name in (*HANGING, *REFUSING):
            server = opened.enter_context(socket.socket())
            server.bind(("127.0.0.1", 0))
            if name in HANGING:
                server.listen()
            found[name] = server.getsockname()[1]
        yield found


@pytest.fixture
def many_tenants(tenants_file: Path, tenant: Tenant, registry: Registry, store: Store, ports: dict[str, int]) -> None:
    """Describe 500 tenants, of whom the well ones have been synced."""
    registry.version("churn")
    newest, now = fetch_newest_version_time(tenant), datetime.now(UTC)
    servers = dict.fromkeys(WELL, f"tracking_uri: '{tenant.tracking_uri}', workspace: {tenant.workspace}")
    servers |= {name: f"tracking_uri: 'http://127.0.0.1:{port}'" for name, port in ports.items()}
    lines = [f"  {name}: {{{server}, allow_private_network: true}}" for name, server in servers.items()]
    tenants_file.write_text("\n".join(["tenants:", *lines]))
    for name in WELL:
        with store.begin(name) as session:
            tenancy.note_newest_version_time(session, newest, now)


def tick(instance: dg.DagsterInstance, cursor: PollCursor, what: str) -> tuple[PollCursor, list[str], str]:
    """Let everybody's turn come; return what the tick leaves, whom it asks syncs for, and what it says."""
    began, used = time.monotonic(), time.process_time()
    left = cursor.model_copy(update={"ticked_at": None}).to_json()
    with (
        partition_loading_context(dynamic_partitions_store=instance),  # the daemon's way to resolve the run requests
        dg.build_sensor_context(instance=instance, cursor=left, repository_def=defs.get_repository_def()) as context,
    ):
        data = new_versions.evaluate_tick(context)
    seconds = time.monotonic() - began
    LOG.info("%s: %.1f s, %.1f s of CPU, %s", what, seconds, time.process_time() - used, data.skip_message)
    assert seconds < DAGSTER_GIVES_SECONDS, what
    return (
        PollCursor.from_json(data.cursor),
        [str(ask.partition_key) for ask in data.run_requests or []],
        str(data.skip_message),
    )


@pytest.mark.timeout(600)
def test_500_tenants_are_polled_in_time_with_50_that_hang_and_50_that_refuse(
    many_tenants: None, registry: Registry, tmp_path: Path
) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("tenants", [*WELL, *HANGING, *REFUSING])

        # As badly as it can come: those that hang are asked first.
        cursor, sync, said = tick(instance, PollCursor(pending=tuple(HANGING)), "first")
        assert sync == []
        assert set(HANGING) & set(cursor.pending) == set(), "they were reached"
        assert "could not be read" in said
        for number in range(2, 6):
            if not cursor.pending:
                break
            before = set(cursor.pending)
            cursor, sync, said = tick(instance, cursor, f"tick {number}, which owes {len(before)} a look")
            assert not before & set(cursor.pending), "who was not reached comes first in the next tick"
        assert not cursor.pending, "everybody was reached"
        assert set(cursor.failing) == {*HANGING, *REFUSING}

        # They back off, so they cost the next tick nothing. All others have news at once: the syncs are asked for over
        # several ticks, and nobody is forgotten.
        registry.version("churn")
        backing_off = {name: how._replace(retry_at=2**40) for name, how in cursor.failing.items()}
        left, sync, _ = tick(instance, cursor.model_copy(update={"failing": backing_off}), "while they back off")
        assert set(left.failing) == {*HANGING, *REFUSING}
        assert len(sync) == MAX_SYNCS_PER_TICK
        assert {*sync, *left.pending} == set(WELL)
