"""Tenants with different credentials, headers, authorities, certificates and proxies, all at once in one process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.errors import UnreachableError
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.http.aws_signatures import signature_problem
from verifywise_mlflow_tests.support.certificate_authorities import Authority, make_authority
from verifywise_mlflow_tests.support.forward_proxy import ForwardProxy, forward_proxy
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    hostile_server,
    json_response,
    respond_with,
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
    limits: {{max_attempts: 1}}
"""
AUTH = {
    "basic": "{kind: basic, username: ann, password: env:BASIC_SECRET}",
    "bearer": "{kind: bearer, token: env:BEARER_SECRET}",
    "oauth2": "{kind: oauth2, token_uri: ISSUER/token, client_id: c, client_secret: env:OAUTH2_SECRET, ca_bundle: CA}",
    "sigv4": "{kind: sigv4, access_key_id: env:SIGV4_KEY, secret_access_key: env:SIGV4_SECRET, region: eu-west-1}",
}


@dataclass(frozen=True, slots=True)
class TenantInfrastructure:
    """The infrastructure of one tenant: a proxy, and a server that accepts only clients of its own authority."""

    authority: Authority
    server: HostileServer
    proxy: ForwardProxy


@contextmanager
def tenant_infrastructure(name: str, directory: Path) -> Iterator[TenantInfrastructure]:
    authority = make_authority(directory, name)
    context = authority.server_context(requires_client_certificate=True)
    with (
        hostile_server(respond_with(json_response({"tenant": name})), context) as server,
        forward_proxy(f"{name}:proxy-of-{name}") as proxy,
    ):
        yield TenantInfrastructure(authority, server, proxy)


def test_each_server_and_each_proxy_receives_only_the_requests_and_secrets_of_its_tenant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        sites = {name: stack.enter_context(tenant_infrastructure(name, tmp_path)) for name in NAMES}
        idp = make_authority(tmp_path, "idp")
        token = json_response({"access_token": "issued", "token_type": "bearer", "expires_in": 3600})
        issuer = stack.enter_context(hostile_server(respond_with(token), idp.server_context()))
        machine_proxy = stack.enter_context(forward_proxy())
        _set_machine_wide_proxy_and_credentials(monkeypatch, machine_proxy, sites["basic"].authority)
        text = "tenants:\n"
        for name, tenant_site in sites.items():
            text += TENANT.format(
                name=name,
                NAME=name.upper(),
                server=tenant_site.server.uri,
                proxy=tenant_site.proxy.uri,
                authority=tenant_site.authority,
                auth=AUTH[name].replace("ISSUER", issuer.uri).replace("CA", str(idp.certificate), 1),
            )
            monkeypatch.setenv(f"{name.upper()}_GATEWAY", f"gateway-of-{name}")
            monkeypatch.setenv(f"{name.upper()}_PROXY", f"proxy-of-{name}")
            monkeypatch.setenv(f"{name.upper()}_SECRET", f"secret-of-{name}")
        monkeypatch.setenv("SIGV4_KEY", "AKIDEXAMPLE")
        path = tmp_path / "tenants.yaml"
        path.write_text(text)
        clients = {name: RestClient(connection_settings(tenant)) for name, tenant in load_tenants(path).items()}

        def search(name: str) -> tuple[str, dict[str, object]]:
            return name, clients[name].get_json(MlflowEndpoint.SEARCH_MODELS, {"tenant": name})

        with ThreadPoolExecutor(8) as threads:
            responses = list(threads.map(search, NAMES * REQUESTS))

        assert all(response == {"tenant": name} for name, response in responses)
        assert machine_proxy.requests == []
        for name, tenant_site in sites.items():
            assert len(tenant_site.server.requests) == REQUESTS
            for request in tenant_site.server.requests:
                assert request.target.endswith(f"?tenant={name}")
                assert request.headers["x-gateway-key"] == f"gateway-of-{name}"
                other_tenants = [other for other in NAMES if other != name]
                assert not [other for other in other_tenants if f"of-{other}" in str(request.headers)]
                assert "proxy-authorization" not in request.headers
            destinations = {proxied.line.split()[1] for proxied in tenant_site.proxy.requests}
            expected = {f"127.0.0.1:{tenant_site.server.port}"} | (
                {f"127.0.0.1:{issuer.port}"} if name == "oauth2" else set()
            )
            assert destinations == expected
        authorization = {
            name: {request.headers["authorization"] for request in tenant_site.server.requests}
            for name, tenant_site in sites.items()
        }
        assert authorization["basic"] == {"Basic YW5uOnNlY3JldC1vZi1iYXNpYw=="}
        assert authorization["bearer"] == {"Bearer secret-of-bearer"}
        assert authorization["oauth2"] == {"Bearer issued"}
        assert {
            signature_problem(request, "AKIDEXAMPLE", "secret-of-sigv4", "eu-west-1/sagemaker-mlflow")
            for request in sites["sigv4"].server.requests
        } == {None}
        (token_request,) = issuer.requests
        assert "gateway" not in str(token_request.headers)


def test_a_tenants_certificate_is_rejected_by_another_tenants_server(tmp_path: Path) -> None:
    with tenant_infrastructure("a", tmp_path) as a, tenant_infrastructure("b", tmp_path) as b:
        path = tmp_path / "tenants.yaml"
        tls = f"{{ca_bundle: {b.authority.certificate}, client_certificate: {a.authority.client}}}"
        path.write_text(
            f"tenants: {{a: {{tracking_uri: '{b.server.uri}', allow_private_network: true, tls: {tls},"
            " limits: {max_attempts: 1}}}"
        )
        client = RestClient(connection_settings(load_tenants(path)["a"]))

        with pytest.raises(UnreachableError):
            client.get_json(MlflowEndpoint.SEARCH_MODELS)

        assert b.server.requests == []


def _set_machine_wide_proxy_and_credentials(
    monkeypatch: pytest.MonkeyPatch, proxy: ForwardProxy, authority: Authority
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.uri)
        monkeypatch.setenv(name.lower(), proxy.uri)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(authority.certificate))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "of-the-machine")
