"""What a bad answer is taken for, and what of the server's words is told."""

from __future__ import annotations

import gzip

import pytest

from verifywise_mlflow.connector.endpoints import ReadCall
from verifywise_mlflow.http.errors import (
    BoundExceededError,
    ForbiddenError,
    GatewayError,
    NoSuchRouteError,
    NotFoundError,
    ProtocolError,
    RejectedError,
    ServerFaultError,
    ThrottledError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.settings import Bounds
from verifywise_mlflow_tests.connector.requests import KEY, MLFLOWS_404, PATH, SECRET, error_of, transport_to
from verifywise_mlflow_tests.http.hostile_server import (
    Asked,
    HostileServer,
    answer,
    hostile_server,
    json_answer,
    serving,
)

BAD_ANSWERS = {
    "a login page": (answer("<html>log in</html>", content_type="text/html"), ProtocolError, "'text/html', not JSON"),
    "no content type": (answer(b"{}", content_type=None), ProtocolError, "no content type"),
    "an empty body": (answer(b""), ProtocolError, "an empty body"),
    "a list": (answer("[1]"), ProtocolError, "JSON that is no object"),
    "half an object": (answer('{"a":'), ProtocolError, "no JSON"),
    "a deep nest": (answer("[" * 40_000), BoundExceededError, "depth=64"),
    "a nest that the parser still takes": (
        answer('{"a":' + "[" * 80 + "]" * 80 + "}"),
        BoundExceededError,
        "nested deeper than the depth=64",
    ),
    "no UTF-8": (answer(b'{"a":"\xff"}'), ProtocolError, "no JSON"),
    "an endless number": (answer('{"a":' + "9" * 5_000 + "}"), ProtocolError, "no JSON"),
    "a truncated body": (answer('{"a":1}', length=500), UnreachableError, "127.0.0.1 broke off its answer"),
    "a large body": (answer(b" " * 60_000), BoundExceededError, "50,000 bytes allowed here (answer_bytes)"),
    "a gzip that is none": (
        answer(b"plain", headers={"Content-Encoding": "gzip"}),
        UnreachableError,
        "127.0.0.1 broke off its answer",
    ),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", UnreachableError, "127.0.0.1 did not answer"),
    "nothing at all": (b"", UnreachableError, "127.0.0.1 did not answer"),
    "201": (answer("{}", 201), RejectedError, "201"),
    "400": (json_answer({"error_code": "INVALID_PARAMETER_VALUE", "message": "bad"}, 400), RejectedError, "bad"),
    "401": (answer("You are not authenticated", 401, "text/html"), UnauthenticatedError, "Check the tenant's auth"),
    "403": (answer("Permission denied", 403, "text/html"), ForbiddenError, "Grant the account READ"),
    "403 of the host check": (answer("Invalid Host header", 403, "text/plain"), ForbiddenError, "--allowed-hosts"),
    "404 of MLflow": (MLFLOWS_404, NotFoundError, "RESOURCE_DOES_NOT_EXIST"),
    "404 of a proxy": (answer("<html>", 404, "text/html"), NoSuchRouteError, "Check the tracking URI"),
    "404 with JSON that is not MLflow's": (json_answer({"detail": "Not Found"}, 404), NoSuchRouteError, "prefix"),
    "404 with a list": (json_answer([1], 404), NoSuchRouteError, "prefix"),
    "429": (answer("slow down", 429, "text/plain"), ThrottledError, "429"),
    "500": (answer("oops", 500, "text/html"), ServerFaultError, "500"),
    "502": (answer("oops", 502, "text/html"), GatewayError, "502"),
    "503": (answer("oops", 503, "text/html"), GatewayError, "503"),
    "503 with Retry-After": (
        answer("oops", 503, "text/html", {"Retry-After": "0"}),
        ThrottledError,
        "503",
    ),
    "a redirect": (answer("", 302, headers={"Location": "/elsewhere"}), ProtocolError, "redirect"),
}
PASSING = (UnreachableError, ThrottledError, ServerFaultError, GatewayError)


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_a_bad_answer_raises_what_the_design_says_in_a_sentence_without_secrets(case: str) -> None:
    sent, expected, words = BAD_ANSWERS[case]
    with hostile_server(serving(sent)) as server:
        transport = transport_to(server.uri)

        error = error_of(transport)

    assert type(error) is expected
    assert error.retryable is issubclass(expected, PASSING)
    assert words in str(error)
    assert PATH in str(error) or "127.0.0.1" in str(error)
    assert len(str(error)) < 600
    assert transport.traffic.requests == 1
    chain = f"{error!r} {error!s} {error.__cause__!r} {transport!r}"
    assert SECRET not in chain
    assert KEY not in chain


def test_what_the_server_says_is_told_escaped_and_short() -> None:
    evil = "\x1b[31m\u202e" + "x" * 10_000
    with hostile_server(serving(json_answer({"error_code": "A" * 900, "message": evil}, 400))) as server:
        told = str(error_of(transport_to(server.uri)))

    assert told.isascii()
    assert "\x1b" not in told
    assert len(told) < 500


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_takes_no_credentials_along(status: int) -> None:
    with hostile_server(serving(answer())) as thief:
        location = {"Location": f"{thief.uri}/api/2.0/mlflow/registered-models/search"}
        with hostile_server(serving(answer("", status, headers=location))) as server:
            transport = transport_to(server.uri, Bounds(attempts=3, request_seconds=1))

            error = error_of(transport)

        assert isinstance(error, ProtocolError)
        assert len(server.asked) == 1
        assert thief.asked == []


def bomb(_server: HostileServer, _asked: Asked) -> bytes:
    return answer(gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"})


def test_a_gzip_bomb_ends_at_the_bound_for_what_it_unpacks_to() -> None:
    with hostile_server(bomb) as server:
        transport = transport_to(server.uri, Bounds(attempts=1, answer_bytes=100_000))

        error = error_of(transport)

    assert isinstance(error, BoundExceededError)
    assert transport.traffic.bytes_read < 1_000_000


def test_a_gzipped_answer_is_understood() -> None:
    packed = gzip.compress(b'{"a": 1}')
    with hostile_server(serving(answer(packed, headers={"Content-Encoding": "gzip"}))) as server:
        assert transport_to(server.uri).get_json(ReadCall.SEARCH_MODELS) == {"a": 1}
