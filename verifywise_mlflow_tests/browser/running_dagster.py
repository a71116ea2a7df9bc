"""The demo's Dagster with its two synced tenants, for the browser tests."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, SensorInstigatorData, TickStatus
from mlflow import MlflowClient

from verifywise_mlflow.demo.registry_seeding import TENANTS
from verifywise_mlflow.demo.servers.dagster_api import DagsterApi
from verifywise_mlflow_tests.demo.running_demo import RunningDemo

HOSTILE = "<img src=x onerror=alert(1)> ‮'; DROP TABLE x; --"
"""A valid model name in MLflow: markup, a right-to-left override, quotes."""
LAUNCHERS = ("dagster/sensor_name", "dagster/schedule_name")
"""The tags of runs that no person launched."""


@dataclass(frozen=True, slots=True)
class RunningDagster:
    """Dagster's servers and their files."""

    demo: RunningDemo

    @property
    def uri(self) -> str:
        """The address of Dagster's pages."""
        ports = json.loads((self.demo.home / "complete.json").read_text())["ports"]
        return f"http://127.0.0.1:{ports['dagster']}"

    @property
    def api(self) -> DagsterApi:
        """The API of Dagster's pages."""
        return DagsterApi(self.uri)

    def alerts(self, tenant: str) -> list[str]:
        """Return the kind and state of a tenant's alerts in the code server's log."""
        log = (self.demo.home / "logs" / "dagsters-code-server.log").read_text()
        return [f"{kind} {state}" for kind, state in re.findall(rf"Z ([a-z ]+) {tenant} (raised|resolved): ", log)]

    def sync(self, tenant: str) -> None:
        """Launch a sync, as a person does, and wait for its success."""
        earlier = {run.run_id for run in self.api.sync_runs()}
        self.api.launch(tenant)
        self.wait_for_run(tenant, "SUCCESS", launched_by=None, earlier=earlier)

    def wait_for_run(self, tenant: str, status: str, *, launched_by: str | None, earlier: Collection[str] = ()) -> None:
        """Wait for a run with the tag of the sensor or schedule that requested it. A person's run has neither tag."""
        deadline = time.monotonic() + 300
        while True:
            runs = [
                (run.status, next((tag.key for tag in run.tags if tag.key in LAUNCHERS), None))
                for run in self.api.sync_runs()
                if run.tenant_id == tenant and run.run_id not in earlier
            ]
            if (status, launched_by) in runs:
                return
            assert time.monotonic() < deadline, runs
            time.sleep(1)

    def describe(self, tenant: str, tenant_settings: Mapping[str, object]) -> None:
        """Add a tenant to tenants.yaml."""
        tenants_file = self.demo.home / "tenants.yaml"
        document = yaml.safe_load(tenants_file.read_text())
        document["tenants"][tenant] = dict(tenant_settings)
        tenants_file.write_text(yaml.safe_dump(document))

    def evaluate(self, *sensors: str) -> None:
        """Make the daemon evaluate sensors before their intervals end, and wait until it has evaluated them."""
        with pytest.MonkeyPatch.context() as variables:
            for name, value in self.demo.environment.items():
                variables.setenv(name, value)
            with DagsterInstance.from_config(str(self.demo.home / "dagster_home")) as instance:
                for sensor in sensors:
                    _evaluate(instance, sensor)


def dagster_of(demo: RunningDemo) -> RunningDagster:
    """Add a model with a hostile name to the demo's first registry, and sync it."""
    _add_hostile(demo.mlflow_uri, TENANTS[0])
    servers = RunningDagster(demo)
    servers.sync(TENANTS[0])
    return servers


def _evaluate(instance: DagsterInstance, sensor: str) -> None:
    deadline = time.monotonic() + 120
    requested_at = time.time()
    while True:
        state = _state(instance, sensor)
        (tick,) = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if tick.timestamp > requested_at and tick.status in {TickStatus.SKIPPED, TickStatus.SUCCESS}:
            return
        assert time.monotonic() < deadline, f"{sensor}: {tick}"
        if tick.timestamp <= requested_at:
            _let_its_interval_be_over(instance, _state(instance, sensor), tick)
        time.sleep(1)


def _state(instance: DagsterInstance, sensor: str) -> InstigatorState:
    (state,) = (candidate for candidate in instance.all_instigator_state() if candidate.instigator_name == sensor)
    return state


def _let_its_interval_be_over(instance: DagsterInstance, state: InstigatorState, last_tick: InstigatorTick) -> None:
    data = state.instigator_data
    assert isinstance(data, SensorInstigatorData)
    # The daemon saves the sensor's cursor a moment after the tick's end. An earlier update would replace the new cursor
    # with the former one.
    if data.last_tick_timestamp == last_tick.timestamp:  # the daemon schedules by these; the cursor is not changed
        elapsed = data._replace(last_tick_timestamp=0.0, last_tick_start_timestamp=0.0)
        instance.update_instigator_state(state.with_data(elapsed))


def _add_hostile(mlflow_uri: str, tenant: str) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
        environment.setenv("MLFLOW_WORKSPACE", tenant)
        client = MlflowClient(mlflow_uri)
        client.create_registered_model(HOSTILE)
        client.create_model_version(HOSTILE, "s3://elsewhere/model", tags={"owner": HOSTILE}, await_creation_for=0)
