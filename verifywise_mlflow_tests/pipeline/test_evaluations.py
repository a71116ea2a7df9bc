"""Assessments of a real MLflow become evidence: counted, with a digest, without inputs and outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import mlflow
import pytest
import urllib3
from mlflow.entities import AssessmentSource, Feedback
from mlflow.genai.datasets import create_dataset
from mlflow.genai.scorers import scorer
from sqlalchemy import text

from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.models import TraceAssessments
from verifywise_mlflow.connector.tracking_reader import TrackingReader
from verifywise_mlflow.http.errors import ForbiddenError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.services.record_verification.verification import verify_records
from verifywise_mlflow.tenants.tenant import Evaluations, Tenant
from verifywise_mlflow_tests.redaction.fake_secrets import HEX, random_text
from verifywise_mlflow_tests.support.evaluation_fixtures import verdicts
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import record, requests, rows, sync
from verifywise_mlflow_tests.support.traces import assessment, trace_request

RECONCILE = SyncOptions(reconcile=True)
GENERATIVE = {"model_kind": "generative", "lifecycle_stage": "production"}


@pytest.fixture
def experiment(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The experiment to which MLflow's own functions log."""
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    monkeypatch.setenv("MLFLOW_GENAI_EVAL_SKIP_TRACE_VALIDATION", "true")
    experiment_id: str = registry.client.create_experiment("bot")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment_id)
    yield experiment_id
    mlflow.clear_active_model()


def generative_version(registry: Registry, experiment: str, name: str, **tags: str) -> str:
    """Register a version of an application; return the ID of its logged model."""
    model_id: str = registry.client.create_logged_model(experiment, name=name, model_type="agent").model_id
    registry.client.create_registered_model(name)
    registry.client.create_model_version(
        name, f"models:/{model_id}", model_id=model_id, tags={**GENERATIVE, **tags}, await_creation_for=0
    )
    return model_id


def verdict(store: Store, rule: str, model: str = "bot") -> str:
    return verdicts(store)[model, 1, rule]


def evaluation(store: Store, model: str = "bot") -> Mapping[str, Any]:
    found = record(store, model)["generative_evaluation"]
    assert isinstance(found, dict)
    return found


@scorer
def exact(outputs: str, expectations: Mapping[str, str]) -> bool:
    return outputs == expectations["expected_response"]


@scorer
def length(outputs: str) -> float:
    return float(len(outputs))


@scorer
def polite(outputs: str) -> Feedback:
    return Feedback(
        value="yes", rationale=f"{outputs} hunter2", source=AssessmentSource("HUMAN", "ada.lovelace@example.com")
    )


def test_an_evaluation_by_mlflow_becomes_evidence(
    registry: Registry, experiment: str, tenant: Tenant, store: Store
) -> None:
    model_id = generative_version(registry, experiment, "bot")
    generative_version(registry, experiment, "untested")
    data = create_dataset(name="questions", experiment_id=experiment)
    data.merge_records(
        [
            {"inputs": {"country": country}, "expectations": {"expected_response": "Paris"}}
            for country in ("France", "Spain", "Italy")
        ]
    )

    def answer(country: str) -> str:
        return "Paris" if country == "France" else f"{country}: kept secret"

    mlflow.genai.evaluate(
        data=data,
        predict_fn=mlflow.trace(answer),
        scorers=[exact, length, polite],
        model_id=model_id,
    )

    first = sync(tenant, store)

    # 1. Each assessment is counted.
    read = evaluation(store)
    assert [read[name] for name in ("state", "is_complete", "assessed_traces", "expectations")] == ["read", True, 3, 3]
    by_name = {counts["name"]: counts for counts in read["assessments"]}
    assert {name: (counts["source"], counts["count"], counts["sources"]) for name, counts in by_name.items()} == {
        "exact": ("CODE", 3, 1),
        "length": ("CODE", 3, 1),
        "polite": ("HUMAN", 3, 1),
    }
    assert [by_name[name]["passed"] for name in ("exact", "polite")] == [1, 3]
    assert [by_name["length"][name] for name in ("numbers", "least", "most")] == [3, 5.0, 18.0]
    assert [(data["name"], data["records"]) for data in read["datasets"]] == [("questions", 3)]
    assert evaluation(store, "untested")["assessments"] == []
    rules = ("assessed-outputs", "judged-outputs", "evaluation-dataset")
    assert [verdict(store, rule) for rule in rules] == ["pass"] * 3
    assert [verdict(store, rule, "untested") for rule in rules] == ["not evidenced"] * 3

    # 2. An auditor gets the same digest from MLflow.
    assert read["sha256"] == digest_as_documented(experiment, model_id)

    # 3. Neither contents nor people are stored.
    with store.begin_shared() as connection:
        for table in ("logged_models", "canonical_records", "state_log", "audit_trail"):
            dumped = str(connection.execute(text(f"SELECT * FROM verifywise_mlflow.{table}")).all())
            assert not [word for word in ("hunter2", "kept secret", "lovelace", "Italy") if word in dumped], table

    # 4. A sync without changes sends no request for assessments. A reconcile reads new assessments in two requests.
    assert requests(sync(tenant, store)) <= requests(first) - 2
    unchanged = sync(tenant, store, RECONCILE)
    assert evaluation(store) == read
    assert all(report.is_unchanged for report in unchanged.reports)
    (assessed, *_) = registry.client.search_traces(locations=[experiment])
    mlflow.log_feedback(
        trace_id=assessed.info.trace_id, name="polite", value=False, source=AssessmentSource("HUMAN", "bob")
    )
    sync(tenant, store, RECONCILE)
    (polite_counts,) = [counts for counts in evaluation(store)["assessments"] if counts["name"] == "polite"]
    assert (polite_counts["count"], polite_counts["sources"], polite_counts["failed"]) == (4, 2, 1)

    # 5. The former state is in the history and in the log.
    (former,) = [row for row in rows(store, "canonical_record_history") if row["model_name"] == "bot"]
    assert former["generative_evaluation"] == read
    assert verify_records(store, "acme").is_intact
    with store.begin("acme") as session:
        session.execute(
            text("UPDATE verifywise_mlflow.canonical_records SET generative_evaluation = NULL WHERE model_name = 'bot'")
        )
    (damage, *_) = verify_records(store, "acme").damages
    assert (damage.table, damage.model_name) == ("canonical_records", "bot")


def digest_as_documented(experiment: str, model_id: str) -> str:
    counted = []
    for found in mlflow.search_traces(locations=[experiment], return_type="list", include_spans=False):
        if found.info.trace_metadata.get("mlflow.modelId") != model_id:
            continue
        for item in found.info.assessments:
            if item.valid is not False and item.feedback is not None:
                value = item.feedback.value
                value = {"yes": True, "no": False}.get(value, value)
                counted.append([found.info.trace_id, item.assessment_id, item.name, item.source.source_type, value])
    canonical = json.dumps(sorted(counted, key=lambda entry: entry[:2]), separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def test_a_registry_without_generative_versions_costs_no_request(
    registry: Registry, experiment: str, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(reader: TrackingReader, experiment_ids: object) -> TraceAssessments:
        raise AssertionError("the search was sent")

    monkeypatch.setattr(TrackingReader, "trace_assessments", refuse)
    model_id = registry.logged_model(registry.run())
    registry.client.create_registered_model("churn")
    registry.client.create_model_version("churn", f"models:/{model_id}", model_id=model_id, await_creation_for=0)

    sync(tenant, store)
    sync(tenant, store, RECONCILE)

    assert record(store, "churn")["generative_evaluation"] is None


def test_what_cannot_be_read_is_not_taken_for_nothing(
    registry: Registry, experiment: str, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    generative_version(registry, experiment, "bot")
    sync(tenant, store)
    read = evaluation(store)

    def forbid(reader: TrackingReader, experiment_ids: object) -> TraceAssessments:
        raise ForbiddenError("Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(TrackingReader, "trace_assessments", forbid)
        sync(tenant, store, RECONCILE)
    assert evaluation(store) == read, "the last reading stays"
    incomplete = record(store, "bot")["incomplete"]
    assert isinstance(incomplete, list)
    (unread,) = [entry for entry in incomplete if entry["kind"] == "assessments"]
    assert "Permission denied" in unread["sentences"][0]
    assert unread["fields"] == ["generative_evaluation"]
    assert verdict(store, "assessed-outputs") == "not read"

    sync(tenant, store, RECONCILE)
    assert "assessments" not in [entry["kind"] for entry in record(store, "bot")["incomplete"]]  # type: ignore[attr-defined]


def test_a_server_without_the_search_and_a_tenant_without_it_are_distinguished(
    registry: Registry, experiment: str, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_none(reader: TrackingReader, experiment_ids: object) -> TraceAssessments:
        raise EndpointNotFoundError("the server does not have this endpoint")

    monkeypatch.setattr(TrackingReader, "trace_assessments", has_none)
    generative_version(registry, experiment, "bot")

    sync(tenant, store)
    assert evaluation(store) == {"state": "not offered"}
    assert verdict(store, "assessed-outputs") == "not evidenced"

    without = tenant.model_copy(update={"evaluations": Evaluations(assessments=False)})
    sync(without, store, RECONCILE)
    assert evaluation(store) == {"state": "switched off"}
    assert verdict(store, "assessed-outputs") == "not evidenced"


def test_hostile_assessments_are_bounded_and_say_nothing(
    registry: Registry, experiment: str, tenant: Tenant, store: Store
) -> None:
    model_id = generative_version(registry, experiment, "bot")
    token = "dap" + "i" + random_text(32, HEX)
    send_traces(
        tenant,
        trace_request(
            experiment,
            model_id,
            [
                assessment("<script>", "x" * 50_000),
                assessment(token, ["yes"]),
                *(assessment(f"name {number}", "maybe") for number in range(60)),
            ],
        ),
        trace_request(experiment, model_id, [assessment("huge", 1.7e308, source="ALIEN"), assessment("huge", 1.7e308)]),
    )
    data = create_dataset(name="nothing", experiment_id=experiment)
    registry.client.log_metric(
        registry.client.create_run(experiment).info.run_id,
        "correct/mean",
        1.0,
        dataset_name=data.name,
        dataset_digest=data.digest,
        model_id=model_id,
    )

    sync(tenant, store)

    read = evaluation(store)
    assert (len(read["assessments"]), read["names_left_out"]) == (50, 14)
    assert token not in json.dumps(read)
    assert {counts["others"] for counts in read["assessments"] if counts["name"].startswith("name")} == {1}
    assert {counts["source"] for counts in read["assessments"]} <= {"CODE", "OTHER"}
    # A data set without records is not evidence, and neither are texts.
    assert verdict(store, "evaluation-dataset") == "not evidenced"
    assert verdict(store, "judged-outputs") == "not evidenced"


def send_traces(tenant: Tenant, *traces: Mapping[str, object]) -> None:
    for body in traces:
        response = urllib3.request(
            "POST",
            f"{tenant.tracking_uri}/api/3.0/mlflow/traces",
            json=body,
            headers={"X-MLFLOW-WORKSPACE": str(tenant.workspace)},
        )
        assert response.status == 200, response.data
