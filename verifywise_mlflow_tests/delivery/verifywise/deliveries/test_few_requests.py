"""Some builds allow a hundred requests per 15 minutes: a delivery continues when the next 15 minutes begin."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verifywise_mlflow.delivery.drain import Drain
from verifywise_mlflow.delivery.verifywise.target import VerifyWiseTarget
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.rate_limits import FEW_REQUESTS
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.delivery.verifywise.deliveries.delivering import MODEL, delivering_tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, store_record
from verifywise_mlflow_tests.support.fake_clock import FakeClock
from verifywise_mlflow_tests.support.stored_states import NOON
from verifywise_mlflow_tests.support.verifywise_api import EDITOR, PASSWORD

VERSIONS = 24


def test_a_delivery_continues_when_the_limit_allows_it_and_sends_nothing_twice(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_TEST_PASSWORD", PASSWORD)
    clock = FakeClock(NOON.timestamp())

    def now() -> datetime:
        return datetime.fromtimestamp(clock(), UTC)

    with VerifyWiseServer(Dialect.B, all_requests=FEW_REQUESTS, clock=clock) as server:
        server.add_user(EDITOR, PASSWORD)
        tenant = delivering_tenant(tmp_path, server.uri, EDITOR)
        settings = tenant.delivery.verifywise
        assert settings is not None
        for number in range(1, VERSIONS + 1):
            store_record(store, MODEL, number, NOON, stage="Production", owner="Bob", business_purpose="Something")
        evaluate(tenant, store, NOON)
        target = VerifyWiseTarget(tenant, settings, store, now=now, clock=clock, sleep=clock.sleep)
        drain = Drain(store, tenant.tenant_id, target, now=now)

        requests_of_each: list[int] = []
        outcomes: list[str] = []
        due_early: list[bool] = []
        while not outcomes or outcomes[-1] == "stopped":
            before = len(server.requests)
            outcomes.append(drain.run().outcome)
            requests_of_each.append(len(server.requests) - before)
            due_early.append(drain.is_due())
            clock.now += FEW_REQUESTS.window_seconds

        posted = Counter(request.path for request in server.requests if request.method == "POST")
        del posted["/files/attach"]  # a file that is attached already stays so
        statuses = {request.status for request in server.requests}
        entries, risks = server.stored("model"), server.stored("risk")

    assert outcomes[-1] == "delivered"
    assert 3 <= len(outcomes) <= 5
    assert not any(due_early)
    assert statuses == {200, 201, 202}
    assert max(requests_of_each) <= 85  # a fifth is reserved for people; file requests show only their own limit
    assert clock.sleeps == []
    assert sorted(int(str(entry["version"])) for entry in entries) == list(range(1, VERSIONS + 1))
    assert len({risk["risk_name"] for risk in risks}) == len(risks) == 2 * VERSIONS
    assert posted == {
        "/users/login": len(outcomes),
        "/modelInventory": VERSIONS,
        "/modelRisks": 2 * VERSIONS,
        "/file-manager": VERSIONS,
        "/evidenceHub": VERSIONS,
    }
