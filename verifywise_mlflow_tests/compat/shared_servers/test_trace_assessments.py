"""The assessments of traces are counted where a release has them; a release without them does not count as zero."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.http.errors import NotFoundError, RequestRejectedError
from verifywise_mlflow_tests.compat.environments import environments_before, environments_since, on_servers
from verifywise_mlflow_tests.compat.server import CompatServer
from verifywise_mlflow_tests.compat.shared_registry import SharedRegistry
from verifywise_mlflow_tests.support.traces import assessment, trace_request


@on_servers(environments_since("3.3"))
def test_assessments_are_counted_by_logged_model(
    server: CompatServer, registry: SharedRegistry, reader: MlflowReader
) -> None:
    experiment, other = (registry.client.create_experiment(name) for name in ("assessed", "not searched"))
    for body in (
        trace_request(experiment, "m-1", [assessment("exact", value=True), assessment("length", 3)], run_id="r"),
        trace_request(experiment, "m-1", [assessment("exact", value=False, source="HUMAN", by="ada")]),
        trace_request(experiment, "m-2"),
        trace_request(experiment, None, [assessment("exact", value=True)]),
        trace_request(other, "m-1", [assessment("exact", value=True)]),
    ):
        server.send("POST", "traces", body, api="3.0")
    before = reader.traffic.requests

    found = reader.trace_assessments([experiment])

    assert reader.traffic.requests - before == 1
    (of_model,) = found.models
    assert (of_model.model_id, of_model.traces, found.is_complete) == ("m-1", 2, True)
    assert {(counts.name, counts.source, counts.passed, counts.failed, counts.mean) for counts in of_model.counts} == {
        ("exact", "CODE", 1, 0, None),
        ("exact", "HUMAN", 0, 1, None),
        ("length", "CODE", 0, 0, 3.0),
    }
    assert "hunter2" not in repr(found)


@on_servers(environments_before("3.3"))
def test_a_release_without_the_search_is_recognized(reader: MlflowReader) -> None:
    with pytest.raises((EndpointNotFoundError, NotFoundError, RequestRejectedError)):
        reader.trace_assessments(["0"])


@on_servers(environments_since("3.3"))
def test_of_many_traces_the_newest_and_those_of_evaluations_are_read(
    server: CompatServer, registry: SharedRegistry, reader: MlflowReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifywise_mlflow.connector.tracking_reader.TRACES_PAGE_SIZE", 2)
    experiment = registry.client.create_experiment("in use")
    evaluated = [trace_request(experiment, "m-1", [assessment("exact", value=True)], run_id="r") for _ in range(3)]
    in_use = [trace_request(experiment, "m-1") for _ in range(4)]
    for body in (*evaluated, *in_use):
        server.send("POST", "traces", body, api="3.0")
    before = reader.traffic.requests

    found = reader.trace_assessments([experiment])

    assert reader.traffic.requests - before == 3, "the newest traces, and two pages of those that belong to a run"
    assert [of_model.traces for of_model in found.models] == [3]
    assert not found.is_complete
