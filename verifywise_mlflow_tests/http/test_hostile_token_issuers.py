"""Token issuers of OAuth2 that send nonsense, redirect, stall, or may not be reached or trusted."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from verifywise_mlflow.http.errors import (
    AddressNotAllowedError,
    GatewayError,
    HttpError,
    ProxyRefusedError,
    RateLimitedError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.oauth2 import OAuth2Client, OAuth2TokenSource
from verifywise_mlflow.http.settings import ConnectionSettings, ProxySettings
from verifywise_mlflow_tests.http.token_issuers import (
    CLIENT,
    REQUEST,
    SECRET,
    SHORT_LIMITS,
    TOKEN,
    issuer_settings,
    token,
)
from verifywise_mlflow_tests.support.certificate_authorities import make_authority
from verifywise_mlflow_tests.support.forward_proxy import forward_proxy
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
    respond_with,
)


def token_error(issuer: ConnectionSettings, client: OAuth2Client = CLIENT) -> HttpError:
    with pytest.raises(HttpError) as caught:
        OAuth2TokenSource(issuer, client).headers(REQUEST)
    chain = f"{caught.value!r} {caught.value.__cause__!r} {client!r}"
    assert SECRET not in chain
    assert TOKEN not in chain
    assert len(str(caught.value)) < 700
    return caught.value


BAD_RESPONSES = {
    "another secret": (
        json_response({"error": "invalid_client", "error_description": "no such\x1b client"}, 401),
        UnauthenticatedError,
        "responded with 401: invalid_client. Check",
    ),
    "an unknown scope": (json_response({"error": "invalid_scope"}, 400), UnauthenticatedError, "scope and audience"),
    "the secret quoted back": (
        json_response({"error": "invalid_client", "error_description": f"{SECRET} is wrong"}, 400),
        UnauthenticatedError,
        "responded with 400: invalid_client. Check",
    ),
    "an error of its own": (json_response({"error": "A" * 9_000}, 400), UnauthenticatedError, "no standard error code"),
    "a page": (
        make_response(f"<html>{TOKEN}</html>", 403, "text/html"),
        UnauthenticatedError,
        "no standard error code of OAuth2",
    ),
    "too many requests": (make_response("", 429, headers={"Retry-After": "7"}), RateLimitedError, "429"),
    "a fault": (make_response("oops", 500), GatewayError, "500"),
    "a redirect": (
        make_response("", 302, headers={"Location": "/elsewhere"}),
        UnauthenticatedError,
        "Set token_uri to the final address",
    ),
    "a token that is cut off": (make_response(f'{{"access_token": "{TOKEN}'), UnauthenticatedError, "no JSON object"),
    "a list": (json_response([TOKEN]), UnauthenticatedError, "no JSON object"),
    "a deep nest": (make_response("[" * 50_000), UnauthenticatedError, "no JSON object"),
    "no token": (json_response({"token_type": "bearer"}), UnauthenticatedError, "no access_token"),
    "a number for a token": (json_response({"access_token": 3}), UnauthenticatedError, "no access_token"),
    "a token with a line end": (token(f"{TOKEN}\r\nX: y"), UnauthenticatedError, "no access_token that a header"),
    "a token of another kind": (token(token_type="mac"), UnauthenticatedError, "a token_type other than Bearer"),
    "no kind": (token(token_type=None), UnauthenticatedError, "a token_type other than Bearer"),
    "a flood": (
        token(padding="x" * 100_000),
        UnauthenticatedError,
        "65,536 bytes allowed here (max_token_response_bytes)",
    ),
    "a compressed flood": (
        make_response(gzip.compress(b" " * 5_000_000), headers={"Content-Encoding": "gzip"}),
        UnauthenticatedError,
        "65,536 bytes allowed here (max_token_response_bytes)",
    ),
    "a truncated body": (make_response("{}", length=500), UnreachableError, "broke off its response"),
    "nothing": (b"", UnreachableError, "did not respond"),
}


@pytest.mark.parametrize("case", BAD_RESPONSES)
def test_a_bad_response_of_the_issuer_raises_an_error_without_secret_and_token(case: str) -> None:
    response, error_type, text = BAD_RESPONSES[case]
    with hostile_server(respond_with(response)) as issuer:
        error = token_error(issuer_settings(issuer.uri))

    assert type(error) is error_type
    assert text in str(error)
    assert "the token issuer 127.0.0.1" in str(error)
    assert str(error).isascii()
    assert "\x1b" not in str(error)
    assert len(issuer.requests) == 1
    assert error.retry_after == (7 if case == "too many requests" else None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_issuer_is_not_followed(status: int) -> None:
    with (
        hostile_server(respond_with(token())) as redirect_target,
        hostile_server(
            respond_with(make_response("", status, headers={"Location": f"{redirect_target.uri}/token"}))
        ) as issuer,
    ):
        token_error(issuer_settings(issuer.uri))

    assert redirect_target.requests == []


def test_an_issuer_that_drips_its_response_fails_at_the_deadline() -> None:
    def drip(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
        yield from server.drip(token(padding="x" * 5_000))

    with hostile_server(drip) as issuer:
        began = time.monotonic()
        error = token_error(issuer_settings(issuer.uri))

    assert isinstance(error, UnreachableError)
    assert error.retryable
    assert time.monotonic() - began < 2


def test_an_issuer_at_a_private_address_is_refused_unless_the_tenant_allows_it() -> None:
    with hostile_server(respond_with(token())) as issuer:
        error = token_error(issuer_settings(issuer.uri, allow_private_network=False))

    assert isinstance(error, AddressNotAllowedError)
    assert issuer.requests == []


def test_the_issuers_certificate_is_verified_with_its_own_ca_bundle(tmp_path: Path) -> None:
    authority, other = make_authority(tmp_path), make_authority(tmp_path, "other")
    with hostile_server(respond_with(token()), authority.server_context()) as issuer:
        error = token_error(issuer_settings(issuer.uri, ca_bundle=other.certificate))
        headers = OAuth2TokenSource(issuer_settings(issuer.uri, ca_bundle=authority.certificate), CLIENT).headers(
            REQUEST
        )

    assert "certificate verify failed" in str(error)
    assert headers == {"Authorization": f"Bearer {TOKEN}"}


def test_the_token_request_goes_through_the_tenants_proxy(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with hostile_server(respond_with(token()), authority.server_context()) as issuer, forward_proxy("ann:x") as proxy:

        def settings_through_proxy(headers: Mapping[str, str]) -> ConnectionSettings:
            return ConnectionSettings(
                f"{issuer.uri}/token",
                allow_private_network=True,
                ca_bundle=authority.certificate,
                limits=SHORT_LIMITS,
                proxy=ProxySettings(proxy.uri, lambda: headers, allow_private_network=True),
            )

        error = token_error(settings_through_proxy({}))
        OAuth2TokenSource(settings_through_proxy({"Proxy-Authorization": "Basic YW5uOng="}), CLIENT).headers(REQUEST)

    assert isinstance(error, ProxyRefusedError)
    assert [proxied_request.line.split()[:2] for proxied_request in proxy.requests] == [
        ["CONNECT", f"127.0.0.1:{issuer.port}"]
    ] * 2
    assert len(issuer.requests) == 1
