"""An error counts for the version that it concerns, and ends the delivery if it concerns all versions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from verifywise_mlflow.delivery.batch_outcomes import BATCH_SECONDS, BatchOutcomes
from verifywise_mlflow.http.errors import (
    HttpError,
    InternalServerError,
    RateLimitedError,
    RequestRejectedError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.persistence.repositories.delivery_outbox import PendingVersion

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BATCH = [PendingVersion("churn", number, number, "events", NOW, "s1", 0) for number in range(1, 6)]


def kinds(outcomes: BatchOutcomes) -> list[str]:
    return [outcome.kind.value for outcome in outcomes.result({}).outcomes]


def test_a_refused_version_stops_no_other() -> None:
    outcomes = BatchOutcomes(BATCH)
    for version in BATCH:
        assert outcomes.may_continue
        if version.version_number == 2:
            outcomes.record_failure(version, RequestRejectedError("no"))
        else:
            outcomes.record_success(version)

    assert kinds(outcomes) == ["delivered", "failed", "delivered", "delivered", "delivered"]
    assert outcomes.result({}).stop_reason is None


@pytest.mark.parametrize("error", [UnreachableError("down"), UnauthenticatedError("who"), RateLimitedError("slow")])
def test_an_error_of_the_connection_charges_no_version(error: HttpError) -> None:
    outcomes = BatchOutcomes(BATCH)
    outcomes.record_success(BATCH[0])
    outcomes.record_failure(BATCH[1], error)

    assert not outcomes.may_continue
    assert kinds(outcomes) == ["delivered", *["deferred"] * 4]
    assert outcomes.result({}).stop_reason == str(error)


def test_server_errors_stop_the_delivery_only_in_a_row() -> None:
    outcomes = BatchOutcomes(BATCH)
    for version in BATCH[:2]:
        outcomes.record_failure(version, InternalServerError("500"))
    outcomes.record_success(BATCH[2])
    for version in BATCH[3:]:
        outcomes.record_failure(version, InternalServerError("500"))

    assert outcomes.may_continue
    assert kinds(outcomes) == ["failed", "failed", "delivered", "failed", "failed"]


def test_a_slow_server_gets_the_rest_later() -> None:
    times = iter([0.0, 1.0, BATCH_SECONDS + 1])
    outcomes = BatchOutcomes(BATCH, lambda: next(times))

    outcomes.record_success(BATCH[0])
    assert [outcomes.may_continue, outcomes.may_continue] == [True, False]
    result = outcomes.result({"events posted": 3, "events refused": 0})
    assert [outcome.kind.value for outcome in result.outcomes] == ["delivered", *["deferred"] * 4]
    assert result.outcomes[1].reason == "the batch took longer than 60 seconds"
    assert (result.stop_reason, result.counts) == (None, {"events posted": 3})
