"""A sync's deadline ends requests even if each response arrives slowly but in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.errors import DeadlineExceededError
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.sync_deadline import SyncDeadline
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)


@dataclass
class Clock:
    """A clock that a test sets."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_requests_fail_from_the_deadline_on() -> None:
    clock = Clock()
    deadline = SyncDeadline(900, clock)

    clock.seconds = 899
    deadline.check()
    clock.seconds = 900
    with pytest.raises(DeadlineExceededError, match=r"its deadline of 900 seconds \(sync_deadline_seconds\)"):
        deadline.check()


def test_a_part_of_the_work_may_take_a_share_of_the_time_that_is_left() -> None:
    clock = Clock(100)
    deadline = SyncDeadline(900, clock)

    with deadline.limited_to(0.5):
        assert deadline.seconds_left == 450
        clock.seconds = 600
        with pytest.raises(DeadlineExceededError):
            deadline.check()
    assert deadline.seconds_left == 400


def test_work_that_is_worth_nothing_in_parts_may_end_after_the_deadline() -> None:
    clock = Clock()
    deadline = SyncDeadline(900, clock)

    clock.seconds = 890
    with deadline.extended_to(60):
        assert deadline.seconds_left == 60
    with deadline.extended_to(1):
        assert deadline.seconds_left == 10


def drip(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
    yield from server.drip(make_response(b"{}" + b" " * 10_000))


def test_a_response_that_is_being_read_ends_at_the_deadline() -> None:
    with hostile_server(drip) as server:
        began = time.monotonic()
        client = RestClient(ConnectionSettings(server.uri, allow_private_network=True, deadline=SyncDeadline(0.5)))
        with pytest.raises(DeadlineExceededError, match="sync_deadline_seconds"):
            client.get_json(MlflowEndpoint.SEARCH_MODELS)
        with pytest.raises(DeadlineExceededError, match="sync_deadline_seconds"):
            client.get_json(MlflowEndpoint.SEARCH_MODELS)

        assert time.monotonic() - began < 3
        assert len(server.requests) == 1, "no attempt is repeated, and no request is sent after the deadline"


def test_a_connection_without_a_deadline_has_none() -> None:
    with hostile_server(lambda _server, _request: json_response({})) as server:
        client = RestClient(ConnectionSettings(server.uri, allow_private_network=True))

        assert client.get_json(MlflowEndpoint.SEARCH_MODELS) == {}
