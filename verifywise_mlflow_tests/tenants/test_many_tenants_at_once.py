"""Tenants with different credentials, headers, authorities, certificates and proxies, all at once in one process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from verifywise_mlflow.connector.endpoints import ReadCall
from verifywise_mlflow.http.client import Transport
from verifywise_mlflow.http.errors import UnreachableError
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.http.aws_signatures import what_is_wrong
from verifywise_mlflow_tests.http.certificate_authorities import Authority, make_authority
from verifywise_mlflow_tests.http.forward_proxy import ForwardProxy, forward_proxy
from verifywise_mlflow_tests.http.hostile_server import (
    HostileServer,
    hostile_server,
    json_answer,
    serving,
)

NAMES = ("basic", "bearer", "oauth2", "sigv4")
REQUESTS = 12

TENANT = """\
  {name}:
    tracking_uri: {server}
    allow_private_network: true
    auth: {auth}
    headers: {{X-Gateway-Key: env:{NAME}_GATEWAY}}
    tls: {{ca_bundle: {authority.certificate}, client_certificate: {authority.client}}}
    proxy: {{uri: {proxy}, username: {name}, password: env:{NAME}_PROXY, allow_private_network: true}}
    bounds: {{attempts: 1}}
"""
AUTH = {
    "basic": "{kind: basic, username: ann, password: env:BASIC_SECRET}",
    "bearer": "{kind: bearer, token: env:BEARER_SECRET}",
    "oauth2": "{kind: oauth2, token_uri: ISSUER/token, client_id: c, client_secret: env:OAUTH2_SECRET, ca_bundle: CA}",
    "sigv4": "{kind: sigv4, access_key_id: env:SIGV4_KEY, secret_access_key: env:SIGV4_SECRET, region: eu-west-1}",
}


@dataclass(frozen=True, slots=True)
class Site:
    """What one tenant has: a server of an authority of its own that takes only its clients, and a proxy."""

    authority: Authority
    server: HostileServer
    proxy: ForwardProxy


@contextmanager
def site(name: str, directory: Path) -> Iterator[Site]:
    authority = make_authority(directory, name)
    context = authority.server_context(asks_for_client=True)
    with (
        hostile_server(serving(json_answer({"tenant": name})), context) as server,
        forward_proxy(f"{name}:proxy-of-{name}") as proxy,
    ):
        yield Site(authority, server, proxy)


def test_each_server_and_each_proxy_sees_only_what_is_its_tenants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as opened:
        sites = {name: opened.enter_context(site(name, tmp_path)) for name in NAMES}
        idp = make_authority(tmp_path, "idp")
        token = json_answer({"access_token": "issued", "token_type": "bearer", "expires_in": 3600})
        issuer = opened.enter_context(hostile_server(serving(token), idp.server_context()))
        machines = opened.enter_context(forward_proxy())
        _set_up_a_machine_that_would_leak(monkeypatch, machines, sites["basic"].authority)
        text = "tenants:\n"
        for name, own in sites.items():
            text += TENANT.format(
                name=name,
                NAME=name.upper(),
                server=own.server.uri,
                proxy=own.proxy.uri,
                authority=own.authority,
                auth=AUTH[name].replace("ISSUER", issuer.uri).replace("CA", str(idp.certificate), 1),
            )
            monkeypatch.setenv(f"{name.upper()}_GATEWAY", f"gateway-of-{name}")
            monkeypatch.setenv(f"{name.upper()}_PROXY", f"proxy-of-{name}")
            monkeypatch.setenv(f"{name.upper()}_SECRET", f"secret-of-{name}")
        monkeypatch.setenv("SIGV4_KEY", "AKIDEXAMPLE")
        path = tmp_path / "tenants.yaml"
        path.write_text(text)
        transports = {name: Transport(connection_settings(tenant)) for name, tenant in load_tenants(path).items()}

        def ask(name: str) -> tuple[str, dict[str, object]]:
            return name, transports[name].get_json(ReadCall.SEARCH_MODELS, {"asked_by": name})

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(ask, NAMES * REQUESTS))

        assert all(found == {"tenant": name} for name, found in answers)
        assert machines.passed == []
        for name, own in sites.items():
            assert len(own.server.asked) == REQUESTS
            for asked in own.server.asked:
                assert asked.target.endswith(f"?asked_by={name}")
                assert asked.headers["x-gateway-key"] == f"gateway-of-{name}"
                others = [other for other in NAMES if other != name]
                assert not [other for other in others if f"of-{other}" in str(asked.headers)]
                assert "proxy-authorization" not in asked.headers
            ways = {passed.line.split()[1] for passed in own.proxy.passed}
            theirs = {f"127.0.0.1:{own.server.port}"} | ({f"127.0.0.1:{issuer.port}"} if name == "oauth2" else set())
            assert ways == theirs
        told = {name: {asked.headers["authorization"] for asked in own.server.asked} for name, own in sites.items()}
        assert told["basic"] == {"Basic YW5uOnNlY3JldC1vZi1iYXNpYw=="}
        assert told["bearer"] == {"Bearer secret-of-bearer"}
        assert told["oauth2"] == {"Bearer issued"}
        assert {
            what_is_wrong(asked, "AKIDEXAMPLE", "secret-of-sigv4", "eu-west-1/sagemaker-mlflow")
            for asked in sites["sigv4"].server.asked
        } == {None}
        (question,) = issuer.asked
        assert "gateway" not in str(question.headers)


def test_a_tenants_certificate_opens_no_other_tenants_server(tmp_path: Path) -> None:
    with site("a", tmp_path) as a, site("b", tmp_path) as b:
        path = tmp_path / "tenants.yaml"
        tls = f"{{ca_bundle: {b.authority.certificate}, client_certificate: {a.authority.client}}}"
        path.write_text(
            f"tenants: {{a: {{tracking_uri: '{b.server.uri}', allow_private_network: true, tls: {tls},"
            " bounds: {attempts: 1}}}"
        )
        transport = Transport(connection_settings(load_tenants(path)["a"]))

        with pytest.raises(UnreachableError):
            transport.get_json(ReadCall.SEARCH_MODELS)

        assert b.server.asked == []


def _set_up_a_machine_that_would_leak(
    monkeypatch: pytest.MonkeyPatch, proxy: ForwardProxy, authority: Authority
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.uri)
        monkeypatch.setenv(name.lower(), proxy.uri)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(authority.certificate))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "of-the-machine")
