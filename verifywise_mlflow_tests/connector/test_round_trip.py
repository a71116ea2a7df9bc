"""Round trip: the reader returns names, tags, values and numbers exactly as MLflow accepted them.

MLflow's own client writes the values into a real server. The reader reads them by listing and by point read. Values
that the server rejects are skipped and counted, so that a test fails if the server rejects all values.
"""

from __future__ import annotations

import math
import sys
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from verifywise_mlflow.common.untrusted_text import has_visible_character
from verifywise_mlflow.connector import models
from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, RegisteredModel, TrainingRun
from verifywise_mlflow.persistence.repositories import registry as stored_registry
from verifywise_mlflow.persistence.repositories import tracked_objects
from verifywise_mlflow.persistence.repositories.tracked_objects import LOGGED_MODELS, RUNS
from verifywise_mlflow.persistence.row_mapping import to_entity
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.connector.text_strategies import (
    AcceptanceCount,
    alias_names,
    any_text,
    any_value,
    metric_values,
    tag_keys,
)
from verifywise_mlflow_tests.support.evaluation_fixtures import one_rule_compliance
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync

MIN_ACCEPTED_SHARE = 0.5
"""The share of the written values that the server must accept."""

tags = st.dictionaries(tag_keys, any_value, max_size=3)


def examples(number: int) -> settings:
    return settings(max_examples=number, suppress_health_check=list(HealthCheck))


def test_models_with_tags_and_aliases_come_back_unchanged(registry: Registry, reader: MlflowReader) -> None:
    client, count = registry.client, AcceptanceCount()

    @examples(16)
    @given(
        st.dictionaries(any_text, st.tuples(any_value, tags, st.sets(alias_names, max_size=2)), min_size=1, max_size=3)
    )
    def assert_round_trip(generated: Mapping[str, tuple[str, Mapping[str, str], set[str]]]) -> None:
        written_objects: dict[str, RegisteredModel] = {}
        for name, (description, model_tags, aliases) in generated.items():
            create = partial(client.create_registered_model, name, dict(model_tags), description)
            if count.offer(create) is None:
                continue
            if aliases:
                client.create_model_version(name, "s3://bucket/model", await_creation_for=0)
            expected_aliases = {alias: 1 for alias in aliases if _set_alias(client, name, alias)}
            written_objects[name] = RegisteredModel(name, description, dict(model_tags), expected_aliases)

        listing = reader.registered_models().read()
        try:
            assert listing.is_complete
            assert {model.name: _without_times(model) for model in listing.rows} == written_objects
            assert {name: _without_times(reader.registered_model(name)) for name in written_objects} == written_objects
        finally:
            for name in written_objects:
                client.delete_registered_model(name)

    assert_round_trip()
    assert count.accepted_share > MIN_ACCEPTED_SHARE


def test_versions_with_tags_come_back_unchanged(registry: Registry, reader: MlflowReader) -> None:
    client, count = registry.client, AcceptanceCount()

    @examples(16)
    @given(any_text, st.lists(st.tuples(any_value, tags, any_text, any_text), min_size=1, max_size=3))
    def assert_round_trip(name: str, generated: list[tuple[str, Mapping[str, str], str, str]]) -> None:
        written_objects: dict[int, tuple[object, ...]] = {}
        if count.offer(lambda: client.create_registered_model(name)) is None:
            return
        for description, version_tags, key, link in generated:
            source = f"s3://bucket/{key}"
            create = partial(client.create_model_version, name, source, None, dict(version_tags), link, description)
            version = count.offer(partial(create, await_creation_for=0))
            if version is not None:
                written_objects[int(version.version)] = (name, description, dict(version_tags), source, link, ())

        listing = reader.model_versions().read()
        try:
            assert listing.is_complete
            assert {version.version_number: _comparable_version(version) for version in listing.rows} == written_objects
            assert {
                number: _comparable_version(reader.model_version(name, number)) for number in written_objects
            } == written_objects
        finally:
            client.delete_registered_model(name)

    assert_round_trip()
    assert count.accepted_share > MIN_ACCEPTED_SHARE


def test_experiments_with_tags_come_back_unchanged(registry: Registry, reader: MlflowReader) -> None:
    client, count = registry.client, AcceptanceCount()
    used_names: set[str] = set()

    @examples(24)
    @given(any_text, tags)
    def assert_round_trip(name: str, experiment_tags: Mapping[str, str]) -> None:
        if name in used_names:
            return
        used_names.add(name)
        experiment_id = count.offer(lambda: client.create_experiment(name, tags=dict(experiment_tags)))
        if experiment_id is None:
            return

        (listed,) = (
            experiment for experiment in reader.experiments().rows if experiment.experiment_id == experiment_id
        )

        assert (listed.name, listed.tags) == (name, experiment_tags)
        assert reader.experiment(experiment_id) == listed

    assert_round_trip()
    assert count.accepted_share > MIN_ACCEPTED_SHARE


def test_runs_with_all_fields_come_back_unchanged(registry: Registry, reader: MlflowReader) -> None:
    client, count = registry.client, AcceptanceCount()
    experiment_id = client.create_experiment("churn")

    @examples(24)
    @given(
        any_text,
        st.dictionaries(tag_keys, any_value, max_size=3),
        st.dictionaries(tag_keys, metric_values, max_size=3),
        tags,
        st.tuples(any_text, any_text, any_value),
    )
    def assert_round_trip(
        name: str,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        run_tags: Mapping[str, str],
        used_names: tuple[str, str, str],
    ) -> None:
        # MLflow identifies a data set by name and digest, so it does not store this data set again.
        dataset = models.DatasetInput(used_names[0], uuid.uuid4().hex, "s3", used_names[1], context=used_names[2])
        run_id = count.offer(lambda: _log_run(client, experiment_id, name, params, metrics, run_tags, dataset))
        if run_id is None:
            return

        (read_object,) = reader.runs([run_id], [experiment_id]).rows

        assert read_object.problems == ()
        assert (read_object.run_name, read_object.params) == (name, params)
        assert read_object.tags == {**run_tags, "mlflow.runName": name}
        assert _comparable(read_object.metrics) == _comparable(_as_mlflow_stores(metrics))
        assert read_object.datasets == (dataset,)
        assert _comparable_run(reader.run(run_id)) == _comparable_run(read_object)

    assert_round_trip()
    assert count.accepted_share > MIN_ACCEPTED_SHARE


def test_logged_models_with_all_fields_come_back_unchanged(registry: Registry, reader: MlflowReader) -> None:
    client, count = registry.client, AcceptanceCount()
    experiment_id = client.create_experiment("churn")
    run_id = client.create_run(experiment_id).info.run_id

    @examples(20)
    @given(
        alias_names,
        st.dictionaries(tag_keys, any_value, max_size=3),
        tags,
        any_text,
        st.dictionaries(tag_keys, metric_values, max_size=2),
    )
    def assert_round_trip(
        name: str,
        params: Mapping[str, str],
        model_tags: Mapping[str, str],
        model_type: str,
        metrics: Mapping[str, float],
    ) -> None:
        def log() -> str:
            model = client.create_logged_model(experiment_id, name, run_id, dict(model_tags), dict(params), model_type)
            for key, value in metrics.items():
                client.log_metric(run_id, key, value, model_id=model.model_id)
            return str(model.model_id)

        model_id = count.offer(log)
        if model_id is None:
            return

        (read_object,) = reader.logged_models([model_id], [experiment_id]).rows

        assert read_object.problems == ()
        assert (read_object.name, read_object.model_type, read_object.source_run_id) == (name, model_type, run_id)
        assert (read_object.params, read_object.tags) == (params, model_tags)
        # MLflow 3.17 returns 0 for a NaN metric of a logged model, but NaN for a NaN metric of a run.
        assert read_object.metrics == _as_mlflow_stores({k: 0.0 if math.isnan(v) else v for k, v in metrics.items()})
        assert _comparable_model(reader.logged_model(model_id)) == _comparable_model(read_object)

    assert_round_trip()
    assert count.accepted_share > MIN_ACCEPTED_SHARE


def test_a_sync_stores_exactly_what_mlflow_returns(
    registry: Registry, reader: MlflowReader, tenant: Tenant, store: Store, tmp_path: Path
) -> None:
    client, count = registry.client, AcceptanceCount()
    experiment_id = client.create_experiment("churn 🦊")
    compliance = one_rule_compliance(tmp_path)
    syncs = 0

    @examples(8)
    @given(
        any_text.filter(has_visible_character),  # a name without visible characters is refused
        st.tuples(any_value, tags, st.sets(alias_names, max_size=2)),
        st.tuples(any_value, tags, any_text),
        st.tuples(
            st.dictionaries(tag_keys, any_value, max_size=3), st.dictionaries(tag_keys, metric_values, max_size=3), tags
        ),
    )
    def assert_round_trip(
        name: str,
        model: tuple[str, Mapping[str, str], set[str]],
        version: tuple[str, Mapping[str, str], str],
        run: tuple[Mapping[str, str], Mapping[str, float], Mapping[str, str]],
    ) -> None:
        nonlocal syncs
        dataset = models.DatasetInput(name, uuid.uuid4().hex, "s3", version[2], context=version[0])

        def register() -> tuple[str, str]:
            run_id = _log_run(client, experiment_id, name, *run, dataset)
            logged = client.create_logged_model(experiment_id, "m", run_id, dict(run[2]), dict(run[0]))
            source = f"models:/{logged.model_id}"
            client.create_registered_model(name, dict(model[1]), model[0])
            create = partial(client.create_model_version, name, source, run_id, dict(version[1]), None, version[0])
            create(await_creation_for=0, model_id=logged.model_id)
            return run_id, logged.model_id

        registered = count.offer(register)
        if registered is None:
            return
        run_id, model_id = registered
        aliases = {alias for alias in model[2] if _set_alias(client, name, alias)}
        try:
            # Each sync is of another tenant, so that no sync finds rows of an earlier sync.
            syncs += 1
            own_tenant = tenant.model_copy(
                update={
                    "tenant_id": f"tenant-{syncs}",
                    "artifacts": tenant.artifacts.model_copy(update={"manifests": False}),
                    "compliance": compliance,
                }
            )
            sync(own_tenant, store)

            stored = _StoredObjects(store, own_tenant.tenant_id)
            assert set(stored.model(name).aliases) == aliases
            assert stored.model(name) == reader.registered_model(name)
            assert stored.version(name) == reader.model_version(name, 1)
            assert _comparable_run(stored.run(run_id)) == _comparable_run(reader.run(run_id))
            assert _comparable_model(stored.logged_model(model_id)) == _comparable_model(reader.logged_model(model_id))
        finally:
            client.delete_registered_model(name)

    assert_round_trip()
    assert count.accepted_share > MIN_ACCEPTED_SHARE


class _StoredObjects:
    """A tenant's rows in Postgres, as the connector's models."""

    def __init__(self, store: Store, tenant_id: str) -> None:
        self._store, self._tenant_id = store, tenant_id

    def model(self, name: str) -> RegisteredModel:
        with self._store.begin(self._tenant_id) as session:
            row = stored_registry.models_by_name(session, [name])[name]
        return to_entity(RegisteredModel, row, name=row["model_name"])

    def version(self, name: str) -> ModelVersion | None:
        with self._store.begin(self._tenant_id) as session:
            return stored_registry.versions_by_key(session, [(name, 1)]).get((name, 1))

    def run(self, run_id: str) -> TrainingRun:
        with self._store.begin(self._tenant_id) as session:
            return to_entity(TrainingRun, tracked_objects.rows_by_id(session, RUNS, [run_id])[run_id])

    def logged_model(self, model_id: str) -> LoggedModel:
        with self._store.begin(self._tenant_id) as session:
            rows = tracked_objects.rows_by_id(session, LOGGED_MODELS, [model_id])
        return to_entity(LoggedModel, rows[model_id])


def _set_alias(client: MlflowClient, name: str, alias: str) -> bool:
    """Set an alias on version 1 of the model; return whether MLflow accepted it."""
    accepted = AcceptanceCount()
    accepted.offer(lambda: client.set_registered_model_alias(name, alias, "1"))
    return accepted.accepted == 1


def _log_run(
    client: MlflowClient,
    experiment_id: str,
    name: str,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    run_tags: Mapping[str, str],
    dataset: models.DatasetInput,
) -> str:
    run_id: str = client.create_run(experiment_id, run_name=name).info.run_id
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, 1_700_000_000_000, 0) for key, value in metrics.items()],
        params=[Param(key, value) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in run_tags.items()],
    )
    logged_dataset = Dataset(dataset.name or "", dataset.digest or "", dataset.source_type or "", dataset.source or "")
    client.log_inputs(run_id, [DatasetInput(logged_dataset, [InputTag("mlflow.data.context", dataset.context or "")])])
    return run_id


def _without_times(model: RegisteredModel) -> RegisteredModel:
    return RegisteredModel(
        model.name, model.description, model.tags, model.aliases, None, None, model.hidden_from_search, model.problems
    )


def _comparable_version(version: ModelVersion) -> tuple[object, ...]:
    return (
        version.model_name,
        version.description,
        version.tags,
        version.source,
        version.run_link,
        version.problems,
    )


def _as_mlflow_stores(metrics: Mapping[str, float]) -> dict[str, float]:
    """Replace infinities, as MLflow does, by the largest number."""
    largest = sys.float_info.max
    return {key: math.copysign(largest, value) if math.isinf(value) else value for key, value in metrics.items()}


def _comparable(metrics: Mapping[str, float]) -> dict[str, float | str]:
    return {key: "NaN" if math.isnan(value) else value for key, value in metrics.items()}


def _comparable_run(run: TrainingRun) -> tuple[object, ...]:
    return (
        *(run.run_id, run.experiment_id, run.run_name, run.user_id, run.status, run.lifecycle_stage),
        *(run.started_at, run.ended_at, run.artifact_uri, _comparable(run.metrics), run.params, run.tags),
        *(run.datasets, run.logged_model_ids, run.problems),
    )


def _comparable_model(model: LoggedModel) -> tuple[object, ...]:
    return (
        *(model.model_id, model.experiment_id, model.name, model.source_run_id, model.artifact_uri, model.status),
        *(model.model_type, model.created_at, model.last_updated_at, model.params, _comparable(model.metrics)),
        *(model.tags, model.problems),
    )
