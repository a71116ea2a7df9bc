"""Evaluation data sets and traces of a real server are counted; neither records nor traces are read."""

from __future__ import annotations

import pytest
from mlflow.genai.datasets import create_dataset

from verifywise_mlflow.services.generative_check import check_generative
from verifywise_mlflow.tenants.connection import open_reader
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import Registry


def test_what_a_server_has_is_counted(registry: Registry, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    client = registry.client
    experiment = client.get_run(registry.run()).info.experiment_id
    client.register_prompt("letter", "Hello {{name}}")
    client.create_logged_model(experiment, name="bot", model_type="agent")
    create_dataset(name="questions", experiment_id=experiment)
    for _ in range(3):
        span = client.start_trace("answer", inputs={"question": "hunter2"}, experiment_id=experiment)
        client.end_trace(span.trace_id)
    reader = open_reader(tenant)
    try:
        reader.registered_models().read()
        reader.model_versions().read()

        results = {result.subject: result for result in check_generative(reader, [experiment])}
    finally:
        reader.close()

    assert results["prompts"].detail == "1 with 1 versions; their texts are never stored"
    assert results["agents"].detail == "1 logged models of the type agent; each reconcile lists them"
    assert results["evaluation data sets"].detail.startswith("1, 1 of them with a digest")
    assert results["traces"].detail.startswith("3 with 0 assessments, counted by the server")
