"""Each bad response raises its typed error, and errors quote the server safely."""

from __future__ import annotations

import gzip

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.http.errors import (
    ForbiddenError,
    GatewayError,
    InternalServerError,
    InvalidResponseError,
    LimitExceededError,
    NotFoundError,
    RateLimitedError,
    RequestRejectedError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow_tests.connector.rest_clients import (
    BASIC_AUTH,
    GATEWAY_KEY,
    NOT_FOUND_RESPONSE,
    SEARCH_MODELS_PATH,
    client_for,
    request_error,
)
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
    respond_with,
)

BAD_RESPONSES = {
    "a login page": (
        make_response("<html>log in</html>", content_type="text/html"),
        InvalidResponseError,
        "'text/html', not JSON",
    ),
    "no content type": (make_response(b"{}", content_type=None), InvalidResponseError, "no content type"),
    "an empty body": (make_response(b""), InvalidResponseError, "an empty body"),
    "a list": (make_response("[1]"), InvalidResponseError, "JSON that is not an object"),
    "half an object": (make_response('{"a":'), InvalidResponseError, "invalid JSON"),
    "a deep nest": (make_response("[" * 40_000), LimitExceededError, "64 levels allowed here (max_depth)"),
    "a nest that the parser accepts": (
        make_response('{"a":' + "[" * 80 + "]" * 80 + "}"),
        LimitExceededError,
        "nested deeper than the 64 levels",
    ),
    "invalid UTF-8": (make_response(b'{"a":"\xff"}'), InvalidResponseError, "invalid JSON"),
    "an endless number": (make_response('{"a":' + "9" * 5_000 + "}"), InvalidResponseError, "invalid JSON"),
    "a truncated body": (make_response('{"a":1}', length=500), UnreachableError, "127.0.0.1 broke off its response"),
    "a large body": (
        make_response(b" " * 60_000),
        LimitExceededError,
        "50,000 bytes allowed here (max_response_bytes)",
    ),
    "invalid gzip": (
        make_response(b"plain", headers={"Content-Encoding": "gzip"}),
        UnreachableError,
        "127.0.0.1 broke off its response",
    ),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", UnreachableError, "127.0.0.1 did not respond"),
    "nothing at all": (b"", UnreachableError, "127.0.0.1 did not respond"),
    "201": (make_response("{}", 201), RequestRejectedError, "201"),
    "400": (
        json_response({"error_code": "INVALID_PARAMETER_VALUE", "message": "bad"}, 400),
        RequestRejectedError,
        "bad",
    ),
    "401": (
        make_response("You are not authenticated", 401, "text/html"),
        UnauthenticatedError,
        "Check the tenant's auth",
    ),
    "403": (make_response("Permission denied", 403, "text/html"), ForbiddenError, "Grant the account READ"),
    "403 of the host check": (
        make_response("Invalid Host header", 403, "text/plain"),
        ForbiddenError,
        "--allowed-hosts",
    ),
    "404 of MLflow": (NOT_FOUND_RESPONSE, NotFoundError, "RESOURCE_DOES_NOT_EXIST"),
    "404 of a proxy": (make_response("<html>", 404, "text/html"), EndpointNotFoundError, "Check the tracking URI"),
    "404 with JSON that is not MLflow's": (
        json_response({"detail": "Not Found"}, 404),
        EndpointNotFoundError,
        "prefix",
    ),
    "404 with a list": (json_response([1], 404), EndpointNotFoundError, "prefix"),
    "429": (make_response("slow down", 429, "text/plain"), RateLimitedError, "429"),
    "500": (make_response("oops", 500, "text/html"), InternalServerError, "500"),
    "502": (make_response("oops", 502, "text/html"), GatewayError, "502"),
    "503": (make_response("oops", 503, "text/html"), GatewayError, "503"),
    "503 with Retry-After": (
        make_response("oops", 503, "text/html", {"Retry-After": "0"}),
        RateLimitedError,
        "503",
    ),
    "a redirect": (make_response("", 302, headers={"Location": "/elsewhere"}), InvalidResponseError, "redirect"),
}
RETRYABLE = (UnreachableError, RateLimitedError, InternalServerError, GatewayError)


@pytest.mark.parametrize("case", BAD_RESPONSES)
def test_a_bad_response_raises_its_typed_error_without_secrets(case: str) -> None:
    response, expected, text = BAD_RESPONSES[case]
    with hostile_server(respond_with(response)) as server:
        client = client_for(server.uri)

        error = request_error(client)

    assert type(error) is expected
    assert error.retryable is issubclass(expected, RETRYABLE)
    assert text in str(error)
    assert SEARCH_MODELS_PATH in str(error) or "127.0.0.1" in str(error)
    assert len(str(error)) < 600
    assert client.traffic.requests == 1
    chain = f"{error!r} {error!s} {error.__cause__!r} {client!r}"
    assert BASIC_AUTH not in chain
    assert GATEWAY_KEY not in chain


def test_server_text_in_an_error_is_escaped_and_short() -> None:
    hostile_text = "\x1b[31m\u202e" + "x" * 10_000
    with hostile_server(respond_with(json_response({"error_code": "A" * 900, "message": hostile_text}, 400))) as server:
        message = str(request_error(client_for(server.uri)))

    assert message.isascii()
    assert "\x1b" not in message
    assert len(message) < 500


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_so_credentials_are_not_forwarded(status: int) -> None:
    with hostile_server(respond_with(make_response())) as redirect_target:
        location = {"Location": f"{redirect_target.uri}/api/2.0/mlflow/registered-models/search"}
        with hostile_server(respond_with(make_response("", status, headers=location))) as server:
            client = client_for(server.uri, Limits(max_attempts=3, request_timeout_seconds=1))

            error = request_error(client)

        assert isinstance(error, InvalidResponseError)
        assert len(server.requests) == 1
        assert redirect_target.requests == []


def bomb(_server: HostileServer, _request: ReceivedRequest) -> bytes:
    return make_response(gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"})


def test_a_gzip_bomb_ends_at_the_limit_on_decompressed_bytes() -> None:
    with hostile_server(bomb) as server:
        client = client_for(server.uri, Limits(max_attempts=1, max_response_bytes=100_000))

        error = request_error(client)

    assert isinstance(error, LimitExceededError)
    assert client.traffic.bytes_read < 1_000_000


def test_a_gzipped_response_is_decompressed() -> None:
    packed = gzip.compress(b'{"a": 1}')
    with hostile_server(respond_with(make_response(packed, headers={"Content-Encoding": "gzip"}))) as server:
        assert client_for(server.uri).get_json(MlflowEndpoint.SEARCH_MODELS) == {"a": 1}
