"""OAuth2 client credentials: the token request, and how a token is shared, renewed and retried."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.errors import (
    AddressNotAllowedError,
    HttpError,
    RateLimitedError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.oauth2 import OAuth2Client, OAuth2TokenSource
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.http.token_issuers import (
    CLIENT,
    REQUEST,
    SECRET,
    TOKEN,
    issuer_settings,
    token,
)
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
    respond_with,
)


def tokens(**fields: object) -> Callable[[HostileServer, ReceivedRequest], bytes]:
    """Return a script that issues token-1, token-2 and so on."""
    return lambda server, _request: token(f"token-{len(server.requests)}", **fields)


def test_the_token_request_follows_the_rfc() -> None:
    client = OAuth2Client("svc governance", SECRET, scope="mlflow.read mlflow.list", audience="https://mlflow.example")
    with hostile_server(respond_with(token())) as issuer:
        assert OAuth2TokenSource(issuer_settings(issuer.uri), client).headers(REQUEST) == {
            "Authorization": f"Bearer {TOKEN}"
        }

    (request,) = issuer.requests
    assert (request.method, request.target) == ("POST", "/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["mlflow.read mlflow.list"],
        "audience": ["https://mlflow.example"],
    }
    scheme, _, pair = request.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair).decode()) == ("Basic", "svc+governance:s3cr3t+of+the+client%2B")


def test_with_post_authentication_the_secret_is_sent_in_the_form_only() -> None:
    with hostile_server(respond_with(token())) as issuer:
        OAuth2TokenSource(issuer_settings(issuer.uri), OAuth2Client("svc", SECRET, authentication="post")).headers(
            REQUEST
        )

    (request,) = issuer.requests
    assert "authorization" not in request.headers
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["svc"],
        "client_secret": [SECRET],
    }


def test_one_token_serves_many_requests_and_threads() -> None:
    def slow(server: HostileServer, request: ReceivedRequest) -> bytes:
        time.sleep(0.1)
        return tokens()(server, request)

    with hostile_server(slow) as issuer:
        credentials = OAuth2TokenSource(issuer_settings(issuer.uri), CLIENT)
        sent_headers: list[Mapping[str, str]] = []
        threads = [threading.Thread(target=lambda: sent_headers.append(credentials.headers(REQUEST))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sent_headers == [{"Authorization": "Bearer token-1"}] * 8
    assert len(issuer.requests) == 1


def test_threads_that_wait_for_a_token_share_the_failure() -> None:
    def hanging(server: HostileServer, _request: ReceivedRequest) -> bytes:
        server.hang()
        return b""

    with hostile_server(hanging) as issuer:
        credentials = OAuth2TokenSource(issuer_settings(issuer.uri), CLIENT)
        failures: list[HttpError] = []

        def fetch_token() -> None:
            try:
                credentials.headers(REQUEST)
            except HttpError as error:
                failures.append(error)

        threads = [threading.Thread(target=fetch_token) for _ in range(6)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [type(failure) for failure in failures] == [UnreachableError] * 6
    assert time.monotonic() - began < 2
    assert len(issuer.requests) == 1


def shared_failures(credentials: OAuth2TokenSource) -> list[HttpError]:
    """Return the errors of two threads that wait for a token while another thread fetches one."""
    failures: list[HttpError] = []

    def fetch_token() -> None:
        try:
            credentials.headers(REQUEST)
        except HttpError as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch_token) for _ in range(2)]
    with credentials._lock:
        for thread in threads:
            thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    return failures


def test_the_issuers_rate_limit_holds_for_every_thread_that_waited() -> None:
    with hostile_server(respond_with(make_response("", 429, headers={"Retry-After": "7"}))) as issuer:
        failures = shared_failures(OAuth2TokenSource(issuer_settings(issuer.uri), CLIENT))

    assert [(type(failure), failure.retry_after) for failure in failures] == [(RateLimitedError, 7.0)] * 2
    assert len(issuer.requests) == 1


def test_a_refused_address_of_the_issuer_is_reported_to_every_thread_that_waited() -> None:
    with hostile_server(respond_with(token())) as issuer:
        credentials = OAuth2TokenSource(issuer_settings(issuer.uri, allow_private_network=False), CLIENT)
        failures = shared_failures(credentials)

    assert [type(failure) for failure in failures] == [AddressNotAllowedError] * 2
    assert len({str(failure) for failure in failures}) == 1


LIFETIMES: list[tuple[object, int]] = [
    (0.5, 2),  # the token expires before the second request
    ("0.5", 2),
    (3600, 1),
    ("3600", 1),
    (10**400, 1),
    (None, 1),
    (0, 1),  # no usable lifetime: the token is used until the server refuses it
    (-5, 1),
    ("soon", 1),
    (True, 1),
    ([3600], 1),
]


@pytest.mark.parametrize(("expires_in", "fetches"), LIFETIMES)
def test_a_token_is_renewed_shortly_before_it_expires(expires_in: object, fetches: int) -> None:
    with hostile_server(tokens(expires_in=expires_in)) as issuer:
        credentials = OAuth2TokenSource(issuer_settings(issuer.uri), CLIENT)

        credentials.headers(REQUEST)
        time.sleep(0.47)  # within the last tenth of half a second
        renewed_headers = credentials.headers(REQUEST)

    assert len(issuer.requests) == fetches
    assert renewed_headers == {"Authorization": f"Bearer token-{fetches}"}


def test_after_a_401_the_token_is_renewed_once_and_the_request_retried() -> None:
    def server_script(_server: HostileServer, request: ReceivedRequest) -> bytes:
        accepted = request.headers["authorization"] == "Bearer token-2"
        return make_response('{"a": 1}') if accepted else make_response("no", 401, "text/html")

    with hostile_server(tokens()) as issuer, hostile_server(server_script) as server:
        client = client_with(issuer, server)

        assert client.get_json(MlflowEndpoint.SEARCH_MODELS) == {"a": 1}
        assert (len(issuer.requests), len(server.requests)) == (2, 2)


def test_a_server_that_refuses_every_token_gets_two_requests() -> None:
    with (
        hostile_server(tokens()) as issuer,
        hostile_server(respond_with(make_response("no", 401, "text/html"))) as server,
    ):
        client = client_with(issuer, server)
        with pytest.raises(UnauthenticatedError, match="Check the tenant's auth"):
            client.get_json(MlflowEndpoint.SEARCH_MODELS)

        assert (len(issuer.requests), len(server.requests)) == (2, 2)


def test_two_threads_with_the_same_refused_token_share_a_new_one() -> None:
    with hostile_server(tokens()) as issuer:
        credentials = OAuth2TokenSource(issuer_settings(issuer.uri), CLIENT)
        both_have_it = threading.Barrier(2)
        renewed: list[tuple[bool, Mapping[str, str]]] = []

        def use_refused_token() -> None:
            credentials.headers(REQUEST)
            both_have_it.wait(5)
            renewed.append((credentials.renew(), credentials.headers(REQUEST)))

        threads = [threading.Thread(target=use_refused_token) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert renewed == [(True, {"Authorization": "Bearer token-2"})] * 2
    assert len(issuer.requests) == 2


def client_with(issuer: HostileServer, server: HostileServer, attempts: int = 1) -> RestClient:
    limits = Limits(
        connect_timeout_seconds=1, request_timeout_seconds=2, token_timeout_seconds=0.6, max_attempts=attempts
    )
    return RestClient(
        ConnectionSettings(
            server.uri,
            credentials=lambda: OAuth2TokenSource(issuer_settings(issuer.uri, limits=limits), CLIENT),
            allow_private_network=True,
            limits=limits,
        )
    )


def test_transient_failures_of_the_issuer_are_retried() -> None:
    script = respond_with(make_response("oops", 503, "text/html"), make_response("oops", 502, "text/html"), token())
    with hostile_server(script) as issuer, hostile_server(respond_with(make_response("{}"))) as server:
        assert client_with(issuer, server, attempts=3).get_json(MlflowEndpoint.SEARCH_MODELS) == {}
        assert (len(issuer.requests), len(server.requests)) == (3, 1)


def test_a_refused_client_is_reported_when_the_connection_opens() -> None:
    refusal = json_response({"error": "invalid_client"}, 401)
    with hostile_server(respond_with(refusal)) as issuer, hostile_server(respond_with(make_response("{}"))) as server:
        with pytest.raises(UnauthenticatedError, match=r"invalid_client\. Check client_id, client_secret"):
            client_with(issuer, server)

        assert (len(issuer.requests), len(server.requests)) == (1, 0)


def test_the_repr_of_a_token_source_shows_neither_token_nor_secret() -> None:
    with hostile_server(respond_with(token())) as issuer:
        credentials = OAuth2TokenSource(issuer_settings(issuer.uri), CLIENT)
        credentials.headers(REQUEST)

    assert TOKEN not in f"{credentials!r} {vars(credentials)!r}"
    assert SECRET not in f"{credentials!r} {vars(credentials)!r}"
