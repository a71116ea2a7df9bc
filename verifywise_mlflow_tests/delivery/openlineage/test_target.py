"""Lineage of a real MLflow registry reaches an HTTP server, a file and a Kafka topic."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from mlflow.entities import Dataset

from verifywise_mlflow.delivery.drain import Drain, DrainReport
from verifywise_mlflow.delivery.openlineage import transports
from verifywise_mlflow.delivery.openlineage.target import OpenLineageTarget
from verifywise_mlflow.persistence.repositories import delivery_outbox
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.delivery.settings import Delivery
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.delivery.openlineage.lineage_checks import check_lineage_event
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    make_response,
)
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import record, rows, sync

API_KEY = "lineage-key-5ecret"


def with_lineage(tenant: Tenant, transport: dict[str, object], **settings: object) -> Tenant:
    delivery = Delivery.model_validate({"openlineage": {"transport": transport, **settings}})
    return tenant.model_copy(update={"delivery": delivery})


def target_of(store: Store, tenant: Tenant, transport: dict[str, object], **settings: object) -> OpenLineageTarget:
    tenant = with_lineage(tenant, transport, **settings)
    assert tenant.delivery.openlineage is not None
    return OpenLineageTarget(store, tenant, tenant.delivery.openlineage)


def http(server: HostileServer, **settings: object) -> dict[str, object]:
    return {"kind": "http", "url": f"{server.uri}/api/v1/lineage", "allow_private_network": True, **settings}


def drain(store: Store, target: OpenLineageTarget, later: timedelta = timedelta()) -> DrainReport:
    return Drain(store, "acme", target, now=lambda: datetime.now(UTC) + later).run()


def events_of(server: HostileServer) -> list[dict[str, Any]]:
    return [check_lineage_event(request.body) for request in server.requests]


def accept(server: HostileServer, request: ReceivedRequest) -> bytes:
    return make_response(b"", 201)


@pytest.fixture
def trained(registry: Registry, tenant: Tenant, store: Store) -> str:
    """Two synced versions: one from a run with a data set, and one without a run. Returns the run's ID."""
    data_set = Dataset("churn-2026", "d1", "http", '{"url": "https://data.example/churn.csv"}')
    run_id = registry.run(datasets=[data_set], tags={"mlflow.source.git.commit": "c0ffee1", "owner": "Ada Lovelace"})
    registry.version("churn", run_id=run_id, description="Predicts churn.")
    registry.version("bought")
    sync(with_lineage(tenant, {"kind": "file", "path": "/unused"}), store)
    return run_id


def enqueue(store: Store) -> None:
    """Put a version that was not evaluated into the outbox."""
    now = datetime.now(UTC) - timedelta(minutes=1)
    with store.begin("acme") as session:
        delivery_outbox.enqueue(session, ["openlineage"], [("churn", 1)], cause="verdicts", sync_id="s1", now=now)


def test_data_sets_runs_versions_and_verdicts_are_posted_as_lineage(
    store: Store, tenant: Tenant, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINEAGE_KEY", API_KEY)
    with hostile_server(accept) as server:
        target = target_of(store, tenant, http(server, api_key="env:LINEAGE_KEY"))
        report = drain(store, target)

    assert (report.outcome, report.counts) == ("delivered", {"events sent": 7})
    events = events_of(server)
    namespace = f"{tenant.tracking_uri}/workspaces/{tenant.workspace}"
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {API_KEY}"}
    assert {request.target for request in server.requests} == {"/api/v1/lineage"}

    start, end = (event for event in events if event.get("job", {}).get("name") == f"churn/{trained}")
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"].replace("-", "") == trained
    assert start["eventTime"] <= end["eventTime"]
    (data_set,) = end["inputs"]
    assert (data_set["namespace"], data_set["name"]) == ("https://data.example", "churn.csv")
    assert data_set["facets"]["version"]["datasetVersion"] == "d1"
    assert data_set["facets"]["verifywise_mlflowDataset"]["context"] == "training"
    assert end["run"]["facets"]["verifywise_mlflowRun"]["codeCommit"] == "c0ffee1"
    (version,) = end["outputs"]
    assert (version["namespace"], version["name"]) == (namespace, "models:/churn/1")
    assert version["facets"]["documentation"]["description"] == "Predicts churn."
    assert version["facets"]["ownership"]["owners"] == [{"name": "Ada Lovelace", "type": "OWNER"}]

    stored = record(store, "churn")
    governance = version["facets"]["verifywise_governance"]
    assert governance["recordHash"] == stored["fingerprint"]
    (badge,) = [row for row in rows(store, "compliance_badges") if row["model_name"] == "churn"]
    assert (governance["badge"], governance["policyDigest"]) == (badge["badge"], badge["policy_digest"])

    (bought,) = (event["dataset"] for event in events if "dataset" in event)
    assert bought["name"] == "models:/bought/1"
    assert bought["facets"]["verifywise_governance"]["tenant"] == "acme"

    judged = [event for event in events if event.get("job", {}).get("name") == "acme.evaluate/churn/1"]
    assert [event["eventType"] for event in judged] == ["START", "COMPLETE"]
    (read,) = judged[1]["inputs"]
    assert (read["namespace"], read["name"]) == (namespace, "models:/churn/1")
    verdicts = {
        row["rule_id"]: row["verdict"] for row in rows(store, "compliance_results") if row["model_name"] == "churn"
    }
    assertions = read["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {item["assertion"]: item["success"] for item in assertions} == {
        rule_id: verdict == "pass"
        for rule_id, verdict in verdicts.items()
        if verdict not in ("not applicable", "not read")
    }
    assert judged[1]["run"]["facets"]["parent"]["run"]["runId"] == stored["sync_id"]


def test_only_versions_whose_state_changed_are_sent_again_and_a_deleted_one_is_dropped(
    store: Store, tenant: Tenant, trained: str, registry: Registry
) -> None:
    with hostile_server(accept) as server:
        target = target_of(store, tenant, http(server), include_verdicts=False)
        drain(store, target)
        sent = len(server.requests)
        sync(target.tenant, store)
        unchanged = drain(store, target)
        registry.client.set_model_version_tag("churn", "1", "risk_category", "high")
        sync(target.tenant, store)

        changed, resent = drain(store, target), len(server.requests)
        registry.client.delete_model_version("bought", "1")
        sync(target.tenant, store, SyncOptions(accept_removals="tested"))
        drain(store, target)

    assert unchanged.outcome == "nothing due"
    assert changed.versions == {"delivered": 1}
    again = events_of(server)[sent:resent]
    assert {event["job"]["name"] for event in again} == {f"churn/{trained}", "acme.evaluate/churn/1"}
    first = [event for event in events_of(server)[:sent] if event.get("job", {}).get("name") == f"churn/{trained}"]
    assert [event["run"]["runId"] for event in again[:2]] == [event["run"]["runId"] for event in first]
    (dropped,) = (event["dataset"] for event in events_of(server)[resent:] if "dataset" in event)
    assert dropped["name"] == "models:/bought/1"
    assert dropped["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "DROP"
    assert all(not data_set["inputFacets"] for event in events_of(server) for data_set in event.get("inputs", []))


def test_a_server_that_does_not_accept_loses_nothing(store: Store, tenant: Tenant, trained: str) -> None:
    endings = {429: "deferred", 503: "deferred", 307: "deferred", 401: "deferred", 500: "failed", 422: "failed"}
    status = 0

    def respond(server: HostileServer, request: ReceivedRequest) -> bytes:
        return make_response(b"", status, headers={"Location": "/elsewhere"})

    with hostile_server(respond) as server:
        target = target_of(store, tenant, http(server))
        for hour, (status, ending) in enumerate(endings.items()):
            failed = drain(store, target, timedelta(hours=hour))
            assert failed.versions == {ending: 2}, status
            assert f"the OpenLineage server responded with {status}" in str(failed.reason or failed.remarks)
        sent, status = len(server.requests), 201

        recovered = drain(store, target, timedelta(hours=9))

    assert recovered.versions == {"delivered": 2}
    assert len(server.requests) - sent == 7


def test_a_private_address_is_refused_unless_the_settings_allow_it(store: Store, tenant: Tenant) -> None:
    target = target_of(store, tenant, {"kind": "http", "url": "https://127.0.0.1:9/api/v1/lineage"})

    (finding,) = target.check()

    assert finding.sentence == (
        "127.0.0.1 is at 127.0.0.1, a private, loopback or link-local address. "
        "If the OpenLineage server is meant to be there, set allow_private_network: true for it."
    )


def test_a_file_gets_a_line_for_each_event_as_soon_as_it_can_be_written(
    store: Store, tenant: Tenant, trained: str, tmp_path: Path
) -> None:
    path = tmp_path / "later" / "lineage.jsonl"
    target = target_of(store, tenant, {"kind": "file", "path": str(path)})

    failed = drain(store, target)
    (finding,) = target.check()
    path.parent.mkdir()
    written = drain(store, target, timedelta(hours=1))

    assert (failed.outcome, failed.versions) == ("stopped", {"deferred": 2})
    assert "lineage.jsonl" in str(failed.reason)
    assert not finding.works
    assert written.counts == {"events sent": 7}
    assert len([check_lineage_event(line) for line in path.read_text().splitlines()]) == 7


def test_a_kafka_topic_gets_a_confirmed_message_for_each_event(
    store: Store, tenant: Tenant, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kafka's own client library simulates a cluster behind a socket.
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "127.0.0.1:0"})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    address = f"{broker.host}:{broker.port}"
    transport = {"kind": "kafka", "topic": "lineage", "encrypted": False, "allow_private_network": True}

    with monkeypatch.context() as impatient:
        impatient.setattr(transports, "KAFKA_TIMEOUT_S", 0.3)
        failed = drain(store, target_of(store, tenant, transport | {"bootstrap_servers": ["127.0.0.1:9"]}))
    sent = drain(store, target_of(store, tenant, transport | {"bootstrap_servers": [address]}), timedelta(hours=1))

    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe(["lineage"])
    messages = consumer.consume(7, timeout=20)
    consumer.close()
    assert (failed.outcome, failed.versions) == ("stopped", {"deferred": 2})
    assert str(failed.reason).startswith("the Kafka topic lineage did not accept an event: ")
    assert sent.counts == {"events sent": 7}
    assert len([check_lineage_event(message.value() or b"") for message in messages]) == 7
    assert b"run:verifywise-mlflow/acme.sync" in {message.key() for message in messages}


def test_without_the_library_the_delivery_says_what_to_install(
    store: Store, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(store)
    monkeypatch.delitem(sys.modules, "verifywise_mlflow.delivery.openlineage.transports", raising=False)
    monkeypatch.setitem(sys.modules, "openlineage.client.serde", None)
    target = target_of(store, tenant, {"kind": "file", "path": str(tmp_path / "lineage.jsonl")})

    report = drain(store, target)

    assert report.reason == ("OpenLineage's library is not installed: install the package with the extra openlineage")


def test_the_library_reads_nothing_from_the_environment(
    store: Store, tenant: Tenant, trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile_server(accept) as elsewhere, hostile_server(accept) as server:
        monkeypatch.setenv("OPENLINEAGE_URL", elsewhere.uri)
        monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
        monkeypatch.setenv("HTTP_PROXY", elsewhere.uri)
        (tmp_path / "openlineage.yml").write_text(json.dumps({"transport": {"type": "http", "url": elsewhere.uri}}))
        monkeypatch.chdir(tmp_path)

        drain(store, target_of(store, tenant, http(server)))

    assert elsewhere.requests == []
    assert len(server.requests) == 7
