"""A delivery that fails, breaks off or is killed: nothing is delivered twice, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from verifywise_mlflow.delivery.drain import MAX_TRIES
from verifywise_mlflow.delivery.target import BatchResult
from verifywise_mlflow.delivery.verifywise.connection import VerifyWiseConnection
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow.persistence.repositories.delivery_outbox import PendingVersion
from verifywise_mlflow_tests.delivery.verifywise.deliveries.delivering import Delivering

ALL_TAGS = {"owner": "Ada", "business_purpose": "Finds fraud"}
one_dialect = pytest.mark.parametrize("delivering", [Dialect.A1], indirect=True)
with_and_without_keys = pytest.mark.parametrize("delivering", [Dialect.A1, Dialect.B], indirect=True)


@pytest.mark.parametrize(
    ("delivering", "path"),
    [
        *((Dialect.A1, path) for path in ("/modelInventory", "/modelRisks", "/evidenceHub", "/file-manager")),
        (Dialect.A2, "/evidenceHub"),
        (Dialect.B, "/modelInventory"),
    ],
    indirect=["delivering"],
)
def test_an_object_whose_answer_was_lost_is_found_again(
    delivering: Delivering, server: VerifyWiseServer, path: str
) -> None:
    delivering.seed(business_purpose="Finds fraud")
    server.faults.lose_answer(method="POST", path=path)
    first = delivering.deliver()
    delivering.later(minutes=10)

    second = delivering.deliver()

    assert (first.versions, second.versions) == ({"failed": 1}, {"delivered": 1})
    assert (len(delivering.entries()), len(delivering.risks())) == (1, 1)
    assert (len(delivering.files()), len(delivering.evidence())) == (1, 1)


@one_dialect
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_lost_request_is_sent_again(delivering: Delivering, server: VerifyWiseServer, method: str) -> None:
    delivering.seed()
    server.faults.lose_request(method=method, path="/modelRisks|/file-manager/.*")
    delivering.deliver()
    delivering.later(minutes=10)

    delivering.deliver()

    assert delivering.outbox().pending == 0
    assert (len(delivering.entries()), len(delivering.risks()), len(delivering.files())) == (1, 2, 1)


@one_dialect
def test_a_change_whose_answer_was_lost_is_no_change_by_hand(delivering: Delivering, server: VerifyWiseServer) -> None:
    delivering.seed()
    delivering.deliver()
    delivering.later(days=1)
    delivering.seed(**ALL_TAGS)
    server.faults.lose_answer(method="PATCH", path="/modelRisks/.*")
    delivering.deliver()
    delivering.later(minutes=10)

    report = delivering.deliver()

    assert report.remarks == []
    assert delivering.risk_statuses() == ["Resolved", "Resolved"]


@one_dialect
def test_a_resolution_whose_answer_was_lost_counts_when_the_rule_fails_again(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    delivering.seed(business_purpose="Finds fraud")
    delivering.deliver()
    delivering.seed(**ALL_TAGS)
    server.faults.lose_answer(method="PATCH", path="/modelRisks/.*")
    delivering.deliver()
    delivering.later(minutes=10)
    delivering.seed(business_purpose="Finds fraud")

    delivering.deliver()

    assert delivering.risk_statuses() == ["Resolved", "Open"]


@with_and_without_keys
def test_two_entries_with_the_same_key_are_parked_and_not_guessed(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    delivering.seed()
    delivering.deliver()
    created = delivering.entry()
    delivering.client.create_inventory_entry({**created.fields, "status": "Pending"}, None)
    delivering.forget_ledger()
    delivering.seed(business_purpose="Finds fraud")

    report = delivering.deliver()

    assert report.versions == {"parked": 1}
    assert "delete all but one" in delivering.held()[0].reason
    assert len(delivering.entries()) == 2


@with_and_without_keys
def test_a_lost_ledger_adopts_what_is_there(delivering: Delivering) -> None:
    delivering.seed()
    delivering.deliver()
    delivering.forget_ledger()
    delivering.seed(business_purpose="Finds fraud")

    delivering.deliver()

    assert len(delivering.entries()) == 1


@one_dialect
def test_a_refused_version_is_parked_after_three_tries_and_does_not_hold_up_others(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    delivering.seed(1)
    delivering.seed(2)
    reports = []
    for _ in range(MAX_TRIES):
        server.faults.answer_next(500, method="POST", path="/modelInventory")
        reports.append(delivering.deliver())
        delivering.later(hours=1)

    nothing = delivering.deliver()
    retried = delivering.deliver(retry_parked=True)

    assert [report.versions for report in reports] == [{"failed": 1, "delivered": 1}, {"failed": 1}, {"failed": 1}]
    assert nothing.outcome == "nothing due"
    assert retried.versions == {"delivered": 1}


@one_dialect
def test_the_reason_of_a_parked_version_names_the_limits_of_fields(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    delivering.seed()
    server.faults.answer_next(500, MAX_TRIES, method="POST", path="/modelInventory")
    for _ in range(MAX_TRIES):
        delivering.deliver()
        delivering.later(hours=1)

    (held,) = delivering.held()

    assert (held.tries, held.parked_at is not None) == (MAX_TRIES, True)
    assert "at most 255 characters" in held.reason
    assert delivering.outbox().parked == 1


@one_dialect
def test_a_parked_version_that_changes_is_tried_again(delivering: Delivering, server: VerifyWiseServer) -> None:
    delivering.seed()
    server.faults.answer_next(500, MAX_TRIES, method="POST", path="/modelInventory")
    for _ in range(MAX_TRIES):
        delivering.deliver()
        delivering.later(hours=1)
    delivering.seed(**ALL_TAGS)

    report = delivering.deliver()

    assert report.versions == {"delivered": 1}


@one_dialect
def test_evidence_waits_for_its_rate_limit_and_holds_up_nothing_else(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    delivering.seed(1)
    delivering.seed(2)
    server.faults.answer_next(429, path="/file-manager", headers={"Retry-After": "600"})

    report = delivering.deliver()

    assert report.versions == {"deferred": 2}
    assert len(delivering.risks()) == 4
    assert delivering.files() == []
    assert delivering.drain().is_due() is False
    delivering.later(seconds=601)
    assert delivering.deliver().versions == {"delivered": 2}
    assert len(delivering.files()) == 2


@one_dialect
def test_a_rate_limit_of_all_requests_stops_the_delivery_until_its_time(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    delivering.seed(1)
    delivering.seed(2)
    server.faults.answer_next(429, method="POST", path="/modelInventory", headers={"Retry-After": "900"})

    report = delivering.deliver()

    assert (report.outcome, report.versions) == ("stopped", {"deferred": 2})
    delivering.later(seconds=899)
    assert delivering.drain().is_due() is False
    delivering.later(seconds=2)
    assert delivering.deliver().versions == {"delivered": 2}


@one_dialect
def test_a_server_that_is_down_stops_the_delivery_and_counts_as_nobodys_try(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    delivering.seed()
    server.stop()
    try:
        report = delivering.deliver()
    finally:
        server.start()
    held = delivering.held()
    delivering.later(minutes=6)

    assert report.outcome == "stopped"
    assert [version.tries for version in held] in ([], [0])
    assert delivering.deliver().versions == {"delivered": 1}


@one_dialect
def test_a_restart_between_two_deliveries_repeats_nothing(delivering: Delivering, server: VerifyWiseServer) -> None:
    delivering.seed(1)
    delivering.deliver()
    server.restart()
    delivering.seed(2)

    delivering.deliver()

    assert [entry.fields["version"] for entry in delivering.entries()] == ["1", "2"]


@with_and_without_keys
def test_a_version_that_changes_during_a_delivery_is_delivered_again_in_it(
    delivering: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivering.seed()
    deliver = VerifyWiseConnection.deliver

    def deliver_and_change(connection: VerifyWiseConnection, batch: Sequence[PendingVersion]) -> BatchResult:
        result = deliver(connection, batch)
        if len(calls := [*batches, batch]) == 1:
            delivering.seed(**ALL_TAGS)
        batches[:] = calls
        return result

    batches: list[Sequence[PendingVersion]] = []
    monkeypatch.setattr(VerifyWiseConnection, "deliver", deliver_and_change)

    report = delivering.deliver()

    assert len(batches) == 2
    assert report.versions == {"delivered": 2}
    assert delivering.risk_statuses() == ["Resolved", "Resolved"]
    assert [remark for remark in report.remarks if "deleted" in remark or "by hand" in remark] == []


@pytest.mark.parametrize(
    ("delivering", "kill_at"),
    [(Dialect.A1, "entry"), (Dialect.A2, "risk"), (Dialect.B, "file"), (Dialect.B, "entry")],
    indirect=["delivering"],
)
def test_a_process_that_is_killed_between_a_post_and_its_ledger_row_leaves_one_object(
    delivering: Delivering, server: VerifyWiseServer, tmp_path: Path, database_url: str, kill_at: str
) -> None:
    delivering.seed(business_purpose="Finds fraud")
    program = [sys.executable, "-m", "verifywise_mlflow_tests.delivery.verifywise.deliveries.killed_delivery"]
    environment = {**os.environ, "VERIFYWISE_DATABASE_URL": database_url}

    killed = subprocess.run([*program, kill_at, server.uri, str(tmp_path)], env=environment, check=False)
    there = {"entry": len(delivering.entries()), "risk": len(delivering.risks()), "file": len(delivering.files())}
    delivering.later(minutes=10)
    report = delivering.deliver()

    assert killed.returncode == -signal.SIGKILL
    assert there[kill_at] == 1
    assert report.versions == {"delivered": 1}
    assert (len(delivering.entries()), len(delivering.risks())) == (1, 1)
    assert (len(delivering.files()), len(delivering.evidence())) == (1, 1)
