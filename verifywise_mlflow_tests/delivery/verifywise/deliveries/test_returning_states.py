"""If a state returns, its evidence file becomes current again, even after requests with an unknown outcome."""

from __future__ import annotations

import pytest

from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow_tests.delivery.verifywise.deliveries.delivering import Delivering

one_dialect = pytest.mark.parametrize("delivering", [Dialect.B], indirect=True)


def deliver_state(delivering: Delivering, risk_category: str) -> None:
    delivering.later(hours=1)
    delivering.seed(risk_category=risk_category)
    delivering.deliver()


def statuses(delivering: Delivering) -> list[str | None]:
    """Return the review status of each file, oldest first."""
    return [file.review_status for file in delivering.files()]


@one_dialect
@pytest.mark.parametrize("is_retried", [True, False], ids=["retried", "the state changes before the retry"])
@pytest.mark.parametrize("is_executed", [True, False], ids=["the answer is lost", "the request is lost"])
@pytest.mark.parametrize("state_with_fault", [1, 2], ids=["when it is superseded", "when it is current again"])
def test_a_file_whose_change_has_an_unknown_outcome_follows_its_state(
    delivering: Delivering, server: VerifyWiseServer, state_with_fault: int, is_executed: bool, is_retried: bool
) -> None:
    deliver_state(delivering, "limited")
    path = f"/file-manager/{delivering.files()[0].id}/.*"
    lose = server.faults.lose_answer if is_executed else server.faults.lose_request

    for number, risk_category in enumerate(("high", "limited"), start=1):
        if number == state_with_fault:
            lose(method="PATCH", path=path)
        deliver_state(delivering, risk_category)
        if is_retried and number == state_with_fault:
            delivering.later(hours=1)
            delivering.deliver()
    after_return = statuses(delivering)
    server.restart()  # it allows five logins a minute
    deliver_state(delivering, "minimal")

    if is_retried or state_with_fault == 1:
        assert after_return == ["pending_review", "superseded"]
    assert statuses(delivering) == ["superseded", "superseded", "pending_review"]


@one_dialect
def test_a_file_that_never_arrived_is_described_when_its_state_returns(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    server.faults.lose_request(method="POST", path="/file-manager")
    for risk_category in ("limited", "high", "limited"):
        deliver_state(delivering, risk_category)

    former, returned = delivering.files()
    assert (former.review_status, returned.review_status) == ("superseded", "pending_review")
