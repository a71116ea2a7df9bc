"""A tick over 500 tenants, of which 50 hang and 50 refuse connections, through Dagster's own sensor evaluation.

The time of each tick is logged: ``pytest --log-cli-level=INFO verifywise_mlflow_tests/defs/test_many_tenants.py``.
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
from verifywise_mlflow.defs.sensors.poll_cursor import PollCursor
from verifywise_mlflow.defs.sensors.registry_sensors import new_versions
from verifywise_mlflow.defs.sensors.tick_limit import MAX_SYNCS_PER_TICK
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.change_polls import fetch_newest_updates
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import Registry

LOG = logging.getLogger(__name__)

TICK_TIMEOUT_SECONDS = 60
HEALTHY = [f"well-{index:03}" for index in range(400)]
HANGING = [f"hanging-{index:02}" for index in range(50)]
REFUSING = [f"refusing-{index:02}" for index in range(50)]


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """A port for each failing tenant. Servers of hanging tenants accept connections and never respond."""
    with ExitStack() as sockets:
        ports = {}
        for name in (*HANGING, *REFUSING):
            server = sockets.enter_context(socket.socket())
            server.bind(("127.0.0.1", 0))
            if name in HANGING:
                server.listen()
            ports[name] = server.getsockname()[1]
        yield ports


@pytest.fixture
def many_tenants(tenants_file: Path, tenant: Tenant, registry: Registry, store: Store, ports: dict[str, int]) -> None:
    """Configure 500 tenants; the healthy tenants have been synced."""
    registry.version("churn")
    newest, now = fetch_newest_updates(tenant, with_prompts=False).version, datetime.now(UTC)
    servers = dict.fromkeys(HEALTHY, f"tracking_uri: '{tenant.tracking_uri}', workspace: {tenant.workspace}")
    servers |= {name: f"tracking_uri: 'http://127.0.0.1:{port}'" for name, port in ports.items()}
    lines = [f"  {name}: {{{server}, allow_private_network: true}}" for name, server in servers.items()]
    tenants_file.write_text("\n".join(["tenants:", *lines]))
    for name in HEALTHY:
        with store.begin(name) as session:
            tenancy.set_poll_watermark(session, newest, now)


def tick(instance: dg.DagsterInstance, cursor: PollCursor, label: str) -> tuple[PollCursor, list[str], str]:
    """Tick with every tenant due; return the cursor, the tenants to sync, and the skip message."""
    started_at, cpu = time.monotonic(), time.process_time()
    due_cursor = cursor.model_copy(update={"ticked_at": None}).to_json()
    with (
        partition_loading_context(dynamic_partitions_store=instance),  # the daemon's way to resolve the run requests
        dg.build_sensor_context(
            instance=instance, cursor=due_cursor, repository_def=defs.get_repository_def()
        ) as context,
    ):
        data = new_versions.evaluate_tick(context)
    seconds = time.monotonic() - started_at
    LOG.info("%s: %.1f s, %.1f s of CPU, %s", label, seconds, time.process_time() - cpu, data.skip_message)
    assert seconds < TICK_TIMEOUT_SECONDS, label
    return (
        PollCursor.from_json(data.cursor),
        [str(request.partition_key) for request in data.run_requests or []],
        str(data.skip_message),
    )


@pytest.mark.timeout(600)
@pytest.mark.slow(seconds=15)
def test_500_tenants_are_polled_in_time_with_50_that_hang_and_50_that_refuse(
    many_tenants: None, registry: Registry, tmp_path: Path
) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("tenants", [*HEALTHY, *HANGING, *REFUSING])

        # The worst case: the hanging tenants are polled first.
        cursor, requested, message = tick(instance, PollCursor(pending=tuple(HANGING)), "first")
        assert requested == []
        assert set(HANGING) & set(cursor.pending) == set(), "they were polled"
        assert "could not read" in message
        for number in range(2, 6):
            if not cursor.pending:
                break
            before = set(cursor.pending)
            cursor, requested, message = tick(instance, cursor, f"tick {number}, with {len(before)} pending")
            assert not before & set(cursor.pending), "pending tenants come first in the next tick"
        assert not cursor.pending, "every tenant was polled"
        assert set(cursor.failing) == {*HANGING, *REFUSING}

        # Failing tenants back off and cost the next tick nothing. All others change at once: their syncs are requested
        # over several ticks, and none is lost.
        registry.version("churn")
        backing_off = {name: streak._replace(retry_at=2**40) for name, streak in cursor.failing.items()}
        after, requested, _ = tick(instance, cursor.model_copy(update={"failing": backing_off}), "while they back off")
        assert set(after.failing) == {*HANGING, *REFUSING}
        assert len(requested) == MAX_SYNCS_PER_TICK
        assert {*requested, *after.pending} == set(HEALTHY)
