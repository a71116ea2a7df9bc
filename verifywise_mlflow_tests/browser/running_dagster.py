"""A running Dagster with the demo's two synced tenants, for the browser tests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.scheduler.instigation import InstigatorState, SensorInstigatorData, TickStatus
from mlflow import MlflowClient

import verifywise_mlflow
from verifywise_mlflow.defs.assets.asset_metadata import SOURCE_URL
from verifywise_mlflow.demo.registry_seeding import TENANTS, seed_registries
from verifywise_mlflow.demo.run import grant_pipeline_role
from verifywise_mlflow.demo.servers.dagster_instance import instance_environment
from verifywise_mlflow.demo.servers.dagster_servers import DagsterServers
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.demo.wait_for_syncs import wait_for_syncs

CODE = "https://code.example/verifywise_mlflow"
"""Web address of our code."""
HOSTILE = "<img src=x onerror=alert(1)> ‮'; DROP TABLE x; --"
"""A valid model name in MLflow: markup, a right-to-left override, quotes."""


@dataclass(frozen=True, slots=True)
class RunningDagster:
    """The running servers and their files."""

    dagster: DagsterServers
    tenants: tuple[str, ...]
    tenants_file: Path
    environment: Mapping[str, str]
    """Environment of Dagster's processes."""
    home: Path
    """Contains Dagster's home and the logs of its processes."""

    def describe(self, tenant: str, tenant_settings: Mapping[str, object]) -> None:
        """Add a tenant to tenants.yaml."""
        document = yaml.safe_load(self.tenants_file.read_text())
        document["tenants"][tenant] = dict(tenant_settings)
        self.tenants_file.write_text(yaml.safe_dump(document))

    def evaluate(self, *sensors: str) -> None:
        """Make the daemon evaluate sensors before their intervals are over, and wait until it has."""
        with pytest.MonkeyPatch.context() as variables:
            for name, value in self.environment.items():
                variables.setenv(name, value)
            with DagsterInstance.from_config(str(self.home / "dagster")) as instance:
                for sensor in sensors:
                    _evaluate(instance, sensor)


@contextmanager
def running_dagster(mlflow_uri: str, home: Path) -> Iterator[RunningDagster]:
    """Fill the demo's two registries, start Postgres and Dagster, and wait for the syncs that a sensor requests."""
    home.mkdir(parents=True, exist_ok=True)
    seed_registries(mlflow_uri, home, report_progress=lambda _: None)
    _add_hostile(mlflow_uri, TENANTS[0])
    tenant_settings = {
        tenant: {"tracking_uri": mlflow_uri, "allow_private_network": True, "workspace": tenant} for tenant in TENANTS
    }
    tenants_file = home / "tenants.yaml"
    tenants_file.write_text(yaml.safe_dump({"tenants": tenant_settings}))
    with ExitStack() as stack:
        postgres = stack.enter_context(temporary_postgres(databases=("verifywise_mlflow", "dagster")))
        login, began = grant_pipeline_role(postgres), time.time()
        environment = instance_environment(postgres, login, tenants_file) | {
            SOURCE_URL: CODE,
            "PYTHONPATH": str(Path(verifywise_mlflow.__file__).parents[1]),  # the code under test
        }
        dagster = stack.enter_context(DagsterServers(home / "dagster", environment=environment, logs=home))
        outcomes = wait_for_syncs(dagster.api, TENANTS, since=began, report_progress=lambda _: None, check=lambda: None)
        assert [outcome.failure for outcome in outcomes] == [None] * len(TENANTS)
        yield RunningDagster(dagster, TENANTS, tenants_file, environment, home)


def _evaluate(instance: DagsterInstance, sensor: str) -> None:
    deadline = time.monotonic() + 120
    requested_at = time.time()
    while True:
        state = _state(instance, sensor)
        (tick,) = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if tick.timestamp > requested_at and tick.status in {TickStatus.SKIPPED, TickStatus.SUCCESS}:
            return
        assert time.monotonic() < deadline, f"{sensor}: {tick}"
        if tick.timestamp <= requested_at and tick.status is not TickStatus.STARTED:
            # Not during a tick: the cursor that it saves at the end would be overwritten by the old one.
            _let_its_interval_be_over(instance, _state(instance, sensor))
        time.sleep(1)


def _state(instance: DagsterInstance, sensor: str) -> InstigatorState:
    (state,) = (candidate for candidate in instance.all_instigator_state() if candidate.instigator_name == sensor)
    return state


def _let_its_interval_be_over(instance: DagsterInstance, state: InstigatorState) -> None:
    data = state.instigator_data
    assert isinstance(data, SensorInstigatorData)
    if data.last_tick_start_timestamp:  # the daemon schedules by these; the cursor is not changed
        elapsed = data._replace(last_tick_timestamp=0.0, last_tick_start_timestamp=0.0)
        instance.update_instigator_state(state.with_data(elapsed))


def _add_hostile(mlflow_uri: str, tenant: str) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
        environment.setenv("MLFLOW_WORKSPACE", tenant)
        client = MlflowClient(mlflow_uri)
        client.create_registered_model(HOSTILE)
        client.create_model_version(HOSTILE, "s3://elsewhere/model", tags={"owner": HOSTILE}, await_creation_for=0)
