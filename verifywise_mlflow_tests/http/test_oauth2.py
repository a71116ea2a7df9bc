"""Tokens by client credentials, from an issuer that counts, lies, dawdles or refuses."""

from __future__ import annotations

import base64
import gzip
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from verifywise_mlflow.connector.endpoints import ReadCall
from verifywise_mlflow.http.auth import Outgoing
from verifywise_mlflow.http.client import Transport
from verifywise_mlflow.http.errors import (
    ConnectorError,
    GatewayError,
    ProxyRefusedError,
    RefusedAddressError,
    ThrottledError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.oauth2 import Client, IssuedToken
from verifywise_mlflow.http.settings import Bounds, ConnectionSettings, ProxySettings
from verifywise_mlflow_tests.http.certificate_authorities import make_authority
from verifywise_mlflow_tests.http.forward_proxy import forward_proxy
from verifywise_mlflow_tests.http.hostile_server import (
    Asked,
    HostileServer,
    answer,
    hostile_server,
    json_answer,
    serving,
)

SECRET = "s3cr3t of the client+"
TOKEN = "eyJ.issued.token"
QUICK = Bounds(connect_seconds=1, request_seconds=2, token_seconds=0.6, attempts=1)
ANY = Outgoing("GET", "https://mlflow.example/version", {}, None)
CLIENT = Client("svc governance", SECRET)


def issuer_of(
    uri: str, *, bounds: Bounds = QUICK, at_home: bool = True, ca_bundle: Path | None = None
) -> ConnectionSettings:
    return ConnectionSettings(f"{uri}/token", allow_private_network=at_home, bounds=bounds, ca_bundle=ca_bundle)


def token(value: str = TOKEN, **fields: object) -> bytes:
    return json_answer({"access_token": value, "token_type": "Bearer", "expires_in": 3600, **fields})


def tokens(**fields: object) -> Callable[[HostileServer, Asked], bytes]:
    """Return a script that issues token-1, token-2 and so on."""
    return lambda server, _asked: token(f"token-{len(server.asked)}", **fields)


def failure_of(issuer: ConnectionSettings, client: Client = CLIENT) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        IssuedToken(issuer, client).headers(ANY)
    chain = f"{caught.value!r} {caught.value.__cause__!r} {client!r}"
    assert SECRET not in chain
    assert TOKEN not in chain
    assert len(str(caught.value)) < 700
    return caught.value


def test_the_issuer_is_asked_as_the_rfc_says() -> None:
    client = Client("svc governance", SECRET, scope="mlflow.read mlflow.list", audience="https://mlflow.example")
    with hostile_server(serving(token())) as issuer:
        assert IssuedToken(issuer_of(issuer.uri), client).headers(ANY) == {"Authorization": f"Bearer {TOKEN}"}

    (asked,) = issuer.asked
    assert (asked.method, asked.target) == ("POST", "/token")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["mlflow.read mlflow.list"],
        "audience": ["https://mlflow.example"],
    }
    scheme, _, pair = asked.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair).decode()) == ("Basic", "svc+governance:s3cr3t+of+the+client%2B")


def test_an_issuer_that_wants_the_secret_among_the_fields_gets_it_there_only() -> None:
    with hostile_server(serving(token())) as issuer:
        IssuedToken(issuer_of(issuer.uri), Client("svc", SECRET, authentication="post")).headers(ANY)

    (asked,) = issuer.asked
    assert "authorization" not in asked.headers
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["svc"],
        "client_secret": [SECRET],
    }


def test_a_token_serves_many_requests_and_many_threads() -> None:
    def slow(server: HostileServer, asked: Asked) -> bytes:
        time.sleep(0.1)
        return tokens()(server, asked)

    with hostile_server(slow) as issuer:
        credentials = IssuedToken(issuer_of(issuer.uri), CLIENT)
        seen: list[Mapping[str, str]] = []
        threads = [threading.Thread(target=lambda: seen.append(credentials.headers(ANY))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert seen == [{"Authorization": "Bearer token-1"}] * 8
    assert len(issuer.asked) == 1


def test_threads_that_wait_for_a_token_share_its_failure() -> None:
    def hanging(server: HostileServer, _asked: Asked) -> bytes:
        server.hang()
        return b""

    with hostile_server(hanging) as issuer:
        credentials = IssuedToken(issuer_of(issuer.uri), CLIENT)
        failures: list[ConnectorError] = []

        def ask() -> None:
            try:
                credentials.headers(ANY)
            except ConnectorError as error:
                failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [type(failure) for failure in failures] == [UnreachableError] * 6
    assert time.monotonic() - began < 2
    assert len(issuer.asked) == 1


LIFETIMES: list[tuple[object, int]] = [
    (0.5, 2),  # over before the second request
    ("0.5", 2),
    (3600, 1),
    ("3600", 1),
    (10**400, 1),
    (None, 1),
    (0, 1),  # no lifetime at all: the server's 401 will tell
    (-5, 1),
    ("soon", 1),
    (True, 1),
    ([3600], 1),
]


@pytest.mark.parametrize(("expires_in", "fetches"), LIFETIMES)
def test_a_token_is_renewed_before_its_end_and_no_sooner(expires_in: object, fetches: int) -> None:
    with hostile_server(tokens(expires_in=expires_in)) as issuer:
        credentials = IssuedToken(issuer_of(issuer.uri), CLIENT)

        credentials.headers(ANY)
        time.sleep(0.47)  # within the last tenth of half a second
        again = credentials.headers(ANY)

    assert len(issuer.asked) == fetches
    assert again == {"Authorization": f"Bearer token-{fetches}"}


def test_a_refused_token_is_fetched_anew_once_and_the_request_sent_again() -> None:
    def server_script(_server: HostileServer, asked: Asked) -> bytes:
        accepted = asked.headers["authorization"] == "Bearer token-2"
        return answer('{"a": 1}') if accepted else answer("no", 401, "text/html")

    with hostile_server(tokens()) as issuer, hostile_server(server_script) as server:
        transport = transport_with(issuer, server)

        assert transport.get_json(ReadCall.SEARCH_MODELS) == {"a": 1}
        assert (len(issuer.asked), len(server.asked)) == (2, 2)


def test_a_server_that_refuses_each_token_is_not_asked_for_ever() -> None:
    with hostile_server(tokens()) as issuer, hostile_server(serving(answer("no", 401, "text/html"))) as server:
        transport = transport_with(issuer, server)
        with pytest.raises(UnauthenticatedError, match="Check the tenant's auth"):
            transport.get_json(ReadCall.SEARCH_MODELS)

        assert (len(issuer.asked), len(server.asked)) == (2, 2)


def test_two_threads_with_the_same_refused_token_get_one_new_one() -> None:
    with hostile_server(tokens()) as issuer:
        credentials = IssuedToken(issuer_of(issuer.uri), CLIENT)
        both_have_it = threading.Barrier(2)
        renewed: list[tuple[bool, Mapping[str, str]]] = []

        def refused() -> None:
            credentials.headers(ANY)
            both_have_it.wait(5)
            renewed.append((credentials.renew(), credentials.headers(ANY)))

        threads = [threading.Thread(target=refused) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert renewed == [(True, {"Authorization": "Bearer token-2"})] * 2
    assert len(issuer.asked) == 2


def transport_with(issuer: HostileServer, server: HostileServer, attempts: int = 1) -> Transport:
    bounds = Bounds(connect_seconds=1, request_seconds=2, token_seconds=0.6, attempts=attempts)
    return Transport(
        ConnectionSettings(
            server.uri,
            credentials=lambda: IssuedToken(issuer_of(issuer.uri, bounds=bounds), CLIENT),
            allow_private_network=True,
            bounds=bounds,
        )
    )


def test_an_issuer_that_hiccups_keeps_no_connection_from_working() -> None:
    script = serving(answer("oops", 503, "text/html"), answer("oops", 502, "text/html"), token())
    with hostile_server(script) as issuer, hostile_server(serving(answer("{}"))) as server:
        assert transport_with(issuer, server, attempts=3).get_json(ReadCall.SEARCH_MODELS) == {}
        assert (len(issuer.asked), len(server.asked)) == (3, 1)


def test_an_issuer_that_refuses_the_client_is_told_when_the_connection_opens() -> None:
    refusal = json_answer({"error": "invalid_client"}, 401)
    with hostile_server(serving(refusal)) as issuer, hostile_server(serving(answer("{}"))) as server:
        with pytest.raises(UnauthenticatedError, match=r"'invalid_client'\. Check client_id, client_secret"):
            transport_with(issuer, server)

        assert (len(issuer.asked), len(server.asked)) == (1, 0)


BAD_ANSWERS = {
    "another secret": (
        json_answer({"error": "invalid_client", "error_description": "no such\x1b client"}, 401),
        UnauthenticatedError,
        "answered 401: 'invalid_client', 'no such\\x1b client'",
    ),
    "an unknown scope": (json_answer({"error": "invalid_scope"}, 400), UnauthenticatedError, "scope and audience"),
    "the secret quoted back": (
        json_answer({"error": "invalid_client", "error_description": f"{SECRET} is wrong"}, 400),
        UnauthenticatedError,
        "words with the secret in them",
    ),
    "long words": (json_answer({"error": "A" * 9_000}, 400), UnauthenticatedError, "AAAA"),
    "a page": (answer(f"<html>{TOKEN}</html>", 403, "text/html"), UnauthenticatedError, "no error in its form"),
    "too many questions": (answer("", 429, headers={"Retry-After": "7"}), ThrottledError, "429"),
    "a fault": (answer("oops", 500), GatewayError, "500"),
    "a redirect": (
        answer("", 302, headers={"Location": "/elsewhere"}),
        UnauthenticatedError,
        "write the final address",
    ),
    "a token that is cut off": (answer(f'{{"access_token": "{TOKEN}'), UnauthenticatedError, "no JSON object"),
    "a list": (json_answer([TOKEN]), UnauthenticatedError, "no JSON object"),
    "a deep nest": (answer("[" * 50_000), UnauthenticatedError, "no JSON object"),
    "no token": (json_answer({"token_type": "bearer"}), UnauthenticatedError, "no access_token"),
    "a number for a token": (json_answer({"access_token": 3}), UnauthenticatedError, "no access_token"),
    "a token with a line end": (token(f"{TOKEN}\r\nX: y"), UnauthenticatedError, "no access_token that a header"),
    "a token of another kind": (token(token_type="mac"), UnauthenticatedError, "a token_type other than Bearer"),
    "no kind": (token(token_type=None), UnauthenticatedError, "a token_type other than Bearer"),
    "a flood": (token(padding="x" * 100_000), UnauthenticatedError, "65,536 bytes allowed here (token_bytes)"),
    "a compressed flood": (
        answer(gzip.compress(b" " * 5_000_000), headers={"Content-Encoding": "gzip"}),
        UnauthenticatedError,
        "65,536 bytes allowed here (token_bytes)",
    ),
    "a truncated body": (answer("{}", length=500), UnreachableError, "gave no answer"),
    "nothing": (b"", UnreachableError, "gave no answer"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_a_bad_answer_of_the_issuer_is_told_without_secret_and_token(case: str) -> None:
    sent, kind, words = BAD_ANSWERS[case]
    with hostile_server(serving(sent)) as issuer:
        error = failure_of(issuer_of(issuer.uri))

    assert type(error) is kind
    assert words in str(error)
    assert "the token's issuer 127.0.0.1" in str(error)
    assert str(error).isascii()
    assert "\x1b" not in str(error)
    assert len(issuer.asked) == 1
    assert error.retry_after == (7 if case == "too many questions" else None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_secret_follows_no_redirect(status: int) -> None:
    with (
        hostile_server(serving(token())) as thief,
        hostile_server(serving(answer("", status, headers={"Location": f"{thief.uri}/token"}))) as issuer,
    ):
        failure_of(issuer_of(issuer.uri))

    assert thief.asked == []


def test_an_issuer_that_drips_ends_at_the_deadline() -> None:
    def drip(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
        yield from server.drip(token(padding="x" * 5_000))

    with hostile_server(drip) as issuer:
        began = time.monotonic()
        error = failure_of(issuer_of(issuer.uri))

    assert isinstance(error, UnreachableError)
    assert error.passing
    assert time.monotonic() - began < 2


def test_an_issuer_at_a_private_address_needs_the_tenants_permission() -> None:
    with hostile_server(serving(token())) as issuer:
        error = failure_of(issuer_of(issuer.uri, at_home=False))

    assert isinstance(error, RefusedAddressError)
    assert issuer.asked == []


def test_the_issuer_is_verified_with_the_authority_named_for_it(tmp_path: Path) -> None:
    authority, other = make_authority(tmp_path), make_authority(tmp_path, "other")
    with hostile_server(serving(token()), authority.server_context()) as issuer:
        error = failure_of(issuer_of(issuer.uri, ca_bundle=other.certificate))
        found = IssuedToken(issuer_of(issuer.uri, ca_bundle=authority.certificate), CLIENT).headers(ANY)

    assert "certificate verify failed" in str(error)
    assert found == {"Authorization": f"Bearer {TOKEN}"}


def test_the_issuer_is_asked_through_the_tenants_proxy(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with hostile_server(serving(token()), authority.server_context()) as issuer, forward_proxy("ann:x") as proxy:

        def through(headers: Mapping[str, str]) -> ConnectionSettings:
            return ConnectionSettings(
                f"{issuer.uri}/token",
                allow_private_network=True,
                ca_bundle=authority.certificate,
                bounds=QUICK,
                proxy=ProxySettings(proxy.uri, lambda: headers, allow_private_network=True),
            )

        error = failure_of(through({}))
        IssuedToken(through({"Proxy-Authorization": "Basic YW5uOng="}), CLIENT).headers(ANY)

    assert isinstance(error, ProxyRefusedError)
    assert [passed.line.split()[:2] for passed in proxy.passed] == [["CONNECT", f"127.0.0.1:{issuer.port}"]] * 2
    assert len(issuer.asked) == 1


def test_a_token_is_not_shown_by_what_holds_it() -> None:
    with hostile_server(serving(token())) as issuer:
        credentials = IssuedToken(issuer_of(issuer.uri), CLIENT)
        credentials.headers(ANY)

    assert TOKEN not in f"{credentials!r} {vars(credentials)!r}"
    assert SECRET not in f"{credentials!r} {vars(credentials)!r}"
