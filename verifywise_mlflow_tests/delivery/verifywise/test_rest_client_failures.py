"""The client's behavior if VerifyWise does not respond as it should: sessions, rate limits, lost responses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verifywise_mlflow.delivery.verifywise.errors import OutcomeUnknownError, RefusedError
from verifywise_mlflow.delivery.verifywise.rate_pacing import MAX_WAIT_SECONDS
from verifywise_mlflow.delivery.verifywise.remote import FileUpload, VerifyWise
from verifywise_mlflow.delivery.verifywise.rest_client import VerifyWiseClient
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow.http import retry
from verifywise_mlflow.http.errors import (
    AddressNotAllowedError,
    GatewayError,
    HttpError,
    InvalidSettingsError,
    RateLimitedError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow_tests.delivery.verifywise.clients import client_for
from verifywise_mlflow_tests.support.fake_clock import FakeClock
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, EDITOR, PASSWORD, Api

FIELDS = {"provider": "p", "model": "m", "version": "1"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(verifywise: VerifyWiseServer, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> VerifyWiseClient:
    return client_for(verifywise, monkeypatch, clock=clock)


def _logins(server: VerifyWiseServer) -> int:
    return sum(request.path == "/users/login" for request in server.requests)


def test_one_login_is_enough_until_it_expires(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    with VerifyWiseServer(Dialect.B, clock=clock) as server:
        server.add_user(EDITOR, PASSWORD)
        client = client_for(server, monkeypatch, clock=clock)
        client.inventory()
        client.create_inventory_entry(FIELDS, "1")
        assert _logins(server) == 1

        clock.now += 3_601
        created = client.create_inventory_entry(FIELDS, "2")

        assert client.inventory_entry(created.id) is not None
        assert _logins(server) == 2


def test_a_session_that_is_never_accepted_costs_one_login(verifywise: VerifyWiseServer, client: VerifyWise) -> None:
    verifywise.faults.answer_next(406, times=9, path="/modelInventory")

    for _ in range(3):
        with pytest.raises(UnauthenticatedError, match="check the clocks"):
            client.inventory()

    assert _logins(verifywise) == 1


def test_a_wrong_password_is_an_error_that_does_not_show_it(
    verifywise: VerifyWiseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_for(verifywise, monkeypatch, password="not the password")

    with pytest.raises(UnauthenticatedError, match="email and password") as caught:
        client.account()

    assert "not the password" not in str(caught.value)
    assert _logins(verifywise) == 1


def test_logins_wait_for_the_limit_of_five_a_minute(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    with VerifyWiseServer(Dialect.A1, clock=clock) as server:
        server.add_user(EDITOR, PASSWORD)
        for _ in range(5):
            Api(server)

        client_for(server, monkeypatch, clock=clock).inventory()

    assert clock.sleeps == [60]


def test_an_api_token_is_used_as_it_is(verifywise: VerifyWiseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Api(verifywise, ADMIN)
    row = admin.post("/tokens", {"name": "t", "expires_in_days": 30}).row
    client = client_for(verifywise, monkeypatch, token=str(row["token"]))

    assert client.account().role == "Admin"
    assert client.inventory() == []
    admin.post(f"/tokens/{row['id']}/revoke", {})
    with pytest.raises(UnauthenticatedError) as caught:
        client.inventory()
    assert str(row["token"]) not in str(caught.value)


def test_what_is_no_token_of_verifywise_is_refused(
    verifywise: VerifyWiseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_for(verifywise, monkeypatch, token="mrm_0123456789")

    with pytest.raises(InvalidSettingsError, match="not one that VerifyWise issues"):
        client.account()


WRITES: list[tuple[str, Callable[[VerifyWise], object]]] = [
    ("/modelInventory", lambda client: client.create_inventory_entry(FIELDS, "k")),
    ("/modelInventory/1", lambda client: client.update_inventory_entry(1, FIELDS)),
    ("/modelRisks", lambda client: client.create_risk(1, {})),
    ("/file-manager", lambda client: client.upload_file(FileUpload("a.md", "text/markdown", b"a", 1))),
    ("/custom-fields/values", lambda client: client.set_custom_field(1, 1, "v")),
]


@pytest.mark.parametrize(("path", "write"), WRITES)
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_write_without_an_answer_of_the_server_is_sent_once(
    verifywise: VerifyWiseServer,
    client: VerifyWise,
    path: str,
    write: Callable[[VerifyWise], object],
    status: int,
) -> None:
    client.release()
    verifywise.faults.answer_next(status, times=2, path=path)

    with pytest.raises(OutcomeUnknownError, match="may have been executed"):
        write(client)

    assert [request.status for request in verifywise.requests if request.path == path] == [status]


@pytest.mark.parametrize("is_executed", [True, False])
def test_a_write_whose_connection_breaks_off_is_sent_once(
    verifywise: VerifyWiseServer, client: VerifyWise, is_executed: bool
) -> None:
    client.release()
    lose = verifywise.faults.lose_answer if is_executed else verifywise.faults.lose_request
    lose(method="POST")

    with pytest.raises(OutcomeUnknownError):
        client.create_inventory_entry(FIELDS, "k")

    assert len(verifywise.stored("model")) == is_executed
    assert len(client.inventory()) == is_executed


def test_an_answer_that_comes_too_late_leaves_the_outcome_unknown(
    verifywise: VerifyWiseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_for(verifywise, monkeypatch, limits=Limits(request_timeout_seconds=0.2))
    client.release()
    verifywise.faults.latency_seconds = 0.4

    with pytest.raises(OutcomeUnknownError):
        client.create_inventory_entry(FIELDS, "k")

    verifywise.faults.latency_seconds = 0.0
    assert len(client.inventory()) == 1


@pytest.mark.parametrize("content", ["<html>", {"message": "Created"}, {"data": {"id": "x"}}])
def test_an_answer_that_is_not_understood_leaves_the_outcome_unknown(
    verifywise: VerifyWiseServer, client: VerifyWise, content: object
) -> None:
    client.release()
    verifywise.faults.answer_next(201, path="/modelInventory", content=content)

    with pytest.raises(OutcomeUnknownError, match="was executed"):
        client.create_inventory_entry(FIELDS, "k")


def test_a_write_that_was_never_sent_is_no_unknown_outcome(verifywise: VerifyWiseServer, client: VerifyWise) -> None:
    client.release()
    verifywise.stop()
    try:
        with pytest.raises(UnreachableError) as caught:
            client.create_inventory_entry(FIELDS, "k")
    finally:
        verifywise.start()

    assert not caught.value.was_sent


@pytest.mark.parametrize(("status", "kind"), [(502, GatewayError), (500, GatewayError), (429, RateLimitedError)])
def test_a_failed_login_leaves_no_unknown_outcome(
    verifywise: VerifyWiseServer, client: VerifyWise, status: int, kind: type[HttpError]
) -> None:
    verifywise.faults.answer_next(status, path="/users/login")

    with pytest.raises(kind) as caught:
        client.create_inventory_entry(FIELDS, None)

    assert not caught.value.was_sent
    assert [request.path for request in verifywise.requests] == ["/users/login"]


def test_a_read_is_sent_again(verifywise: VerifyWiseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BACK_OFF_BASE_SECONDS", 0.0)
    client = client_for(verifywise, monkeypatch, limits=Limits(max_attempts=2))
    client.account()
    verifywise.faults.lose_answer(path="/modelInventory")

    assert client.inventory() == []
    verifywise.faults.answer_next(502, times=2, path="/modelInventory")
    with pytest.raises(GatewayError):
        client.inventory()


def test_a_rate_limit_that_ends_soon_is_waited_for_and_the_write_sent_again(
    verifywise: VerifyWiseServer, client: VerifyWise, clock: FakeClock
) -> None:
    client.release()
    verifywise.faults.answer_next(429, path="/modelInventory", headers={"Retry-After": "40"})

    client.create_inventory_entry(FIELDS, "k")

    assert clock.sleeps == [40]
    assert len(verifywise.stored("model")) == 1


@pytest.mark.parametrize("headers", [{"Retry-After": "600"}, {}])
def test_a_rate_limit_that_does_not_ends_the_delivery(
    verifywise: VerifyWiseServer, client: VerifyWise, clock: FakeClock, headers: dict[str, str]
) -> None:
    client.release()
    verifywise.faults.answer_next(429, times=2, path="/file-manager", headers=headers)

    with pytest.raises(RateLimitedError) as caught:
        client.upload_file(FileUpload("a.md", "text/markdown", b"a", 1))

    assert caught.value.retry_after == (600 if headers else None)
    assert clock.sleeps == []


def test_a_fifth_of_each_limit_is_left_to_people(
    verifywise: VerifyWiseServer, client: VerifyWise, clock: FakeClock
) -> None:
    for _ in range(80):
        client.files()
    with pytest.raises(RateLimitedError, match="people need the rest") as caught:
        client.files()

    files = [request for request in verifywise.requests if request.path == "/file-manager"]
    assert [request.status for request in files] == [200] * 80
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > MAX_WAIT_SECONDS
    assert not caught.value.was_sent
    assert client.inventory() == []  # counted apart


def test_requests_are_paced_to_the_limit_of_a_minute(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    with VerifyWiseServer(Dialect.B, clock=clock) as server:
        server.add_user(EDITOR, PASSWORD)
        client = client_for(server, monkeypatch, clock=clock)

        for _ in range(500):
            client.inventory_entry(1)

        assert {request.status for request in server.requests} == {202, 204}
    assert clock.sleeps == [60, 60]


def test_a_private_address_needs_permission(verifywise: VerifyWiseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_for(
        verifywise,
        monkeypatch,
        url=verifywise.uri.replace("http://", "https://"),
        allow_private_network=False,
    )

    with pytest.raises(AddressNotAllowedError, match=r"delivery\.verifywise\.allow_private_network"):
        client.inventory()
    assert verifywise.requests == []


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 500])
def test_no_error_repeats_a_credential(
    verifywise: VerifyWiseServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    token = str(Api(verifywise, ADMIN).post("/tokens", {"name": "t"}).row["token"])
    client = client_for(verifywise, monkeypatch, token=token)
    verifywise.faults.answer_next(status, times=9, content={"message": f"Authorization: Bearer {token}"})

    errors: list[HttpError] = []
    for call in (client.inventory, lambda: client.update_inventory_entry(1, FIELDS)):
        with pytest.raises(HttpError) as caught:
            call()
        errors.append(caught.value)

    assert not any(token[:16] in str(error) or token[-16:] in str(error) for error in errors)
    assert isinstance(errors[1], RefusedError) == (status in (400, 500))
