"""A tenant's TLS settings: a private authority, strict verification, and a client certificate."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.stores.settings import ObjectStoreSettings
from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.errors import UnreachableError
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow.http.tls import tls_context
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.certificate_authorities import Authority, make_authority
from verifywise_mlflow_tests.support.hostile_server import HostileServer, hostile_server, make_response, respond_with


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Iterator[HostileServer]:
    """A server with a certificate of a private authority, which requires a client certificate of the same authority."""
    with hostile_server(
        respond_with(make_response()), authority.server_context(requires_client_certificate=True)
    ) as server:
        yield server


def _fetch(
    server: HostileServer, *, authority: Path | None, client: Path | None = None, strict: bool = True
) -> dict[str, object]:
    rest_client = RestClient(
        ConnectionSettings(
            base_uri=server.uri,
            allow_private_network=True,
            ca_bundle=authority,
            client_certificate=client,
            tls_strict=strict,
            limits=Limits(max_attempts=1, request_timeout_seconds=5),
        )
    )
    try:
        return rest_client.get_json(MlflowEndpoint.SERVER_INFO)
    finally:
        rest_client.close()


def test_a_private_authority_and_a_client_certificate_work_together(
    server: HostileServer, authority: Authority
) -> None:
    assert _fetch(server, authority=authority.certificate, client=authority.client) == {}


def test_a_server_of_an_unknown_authority_is_refused(server: HostileServer, authority: Authority) -> None:
    with pytest.raises(UnreachableError, match=r"(?i)certificate") as caught:
        _fetch(server, authority=None, client=authority.client)

    assert "strict" not in str(caught.value), "the setting would not help"


def test_a_client_without_its_certificate_is_refused_by_a_server_that_requires_one(
    server: HostileServer, authority: Authority
) -> None:
    with pytest.raises(UnreachableError):
        _fetch(server, authority=authority.certificate, client=None)


def test_an_older_private_authority_is_refused_with_the_setting_that_accepts_it(tmp_path: Path) -> None:
    older = make_authority(tmp_path, has_key_usage=False)
    with hostile_server(respond_with(make_response()), older.server_context()) as server:
        with pytest.raises(UnreachableError, match="does not include key usage") as caught:
            _fetch(server, authority=older.certificate)

        assert "set tls: {strict: false} for the tenant" in str(caught.value)
        assert server.requests == []
        assert _fetch(server, authority=older.certificate, strict=False) == {}


def test_without_strictness_an_unknown_authority_is_still_refused(tmp_path: Path) -> None:
    older, other = make_authority(tmp_path, has_key_usage=False), make_authority(tmp_path, "other")
    with (
        hostile_server(respond_with(make_response()), older.server_context()) as server,
        pytest.raises(UnreachableError, match="certificate verify failed"),
    ):
        _fetch(server, authority=other.certificate, strict=False)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("has_own_authority", [True, False])
def test_strictness_follows_the_setting_on_every_python_version(
    authority: Authority, strict: bool, has_own_authority: bool
) -> None:
    ca_bundle = authority.certificate if has_own_authority else None

    context = tls_context(ConnectionSettings("https://acme.example", ca_bundle=ca_bundle, tls_strict=strict))

    assert bool(context.verify_flags & ssl.VERIFY_X509_STRICT) == strict
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_tenants_setting_applies_to_its_server_and_stores() -> None:
    auth = {"kind": "oauth2", "token_uri": "https://idp.example/token", "client_id": "x", "client_secret": "env:SECRET"}
    tenants = [
        Tenant.model_validate(
            {"tenant_id": "acme", "tracking_uri": "https://acme.example", "auth": auth, "tls": {"strict": strict}}
            | {"artifacts": {"stores": [{"prefix": "s3://models"}]}}
        )
        for strict in (True, False)
    ]
    servers = [connection_settings(tenant) for tenant in tenants]
    stores = [
        tenant.artifacts.stores[0].store_settings(server) for tenant, server in zip(tenants, servers, strict=True)
    ]

    assert [server.tls_strict for server in servers] == [True, False]
    assert [isinstance(store, ObjectStoreSettings) and store.network.tls_strict for store in stores] == [True, False]


def test_tenants_share_only_a_context_that_holds_nothing_of_a_tenant(authority: Authority) -> None:
    plain = [ConnectionSettings(base_uri=f"https://{name}.example") for name in ("acme", "globex")]
    with_authority = [replace(settings, ca_bundle=authority.certificate) for settings in plain]
    with_client = [replace(settings, client_certificate=authority.client) for settings in plain]

    assert tls_context(plain[0]) is tls_context(plain[1])
    assert tls_context(plain[0]) is not tls_context(replace(plain[0], tls_strict=False))
    contexts = [tls_context(settings) for settings in (*with_authority, *with_client, plain[0])]
    assert len(set(map(id, contexts))) == 5


def test_authorities_from_the_environment_are_not_trusted(
    server: HostileServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "MLFLOW_TRACKING_SERVER_CERT_PATH"):
        monkeypatch.setenv(name, str(authority.certificate))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))

    with pytest.raises(UnreachableError, match=r"(?i)certificate"):
        _fetch(server, authority=None, client=authority.client)
    _fetch(server, authority=authority.certificate, client=authority.client)

    assert not (tmp_path / "keys").exists()
