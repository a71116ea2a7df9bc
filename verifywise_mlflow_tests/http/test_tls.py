"""TLS as a tenant describes it: an authority of its own, and a certificate of ours that the server asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from verifywise_mlflow.connector.endpoints import ReadCall
from verifywise_mlflow.http.client import Transport
from verifywise_mlflow.http.errors import UnreachableError
from verifywise_mlflow.http.pools import tls_context
from verifywise_mlflow.http.settings import Bounds, ConnectionSettings
from verifywise_mlflow_tests.http.certificate_authorities import Authority, make_authority
from verifywise_mlflow_tests.http.hostile_server import HostileServer, answer, hostile_server, serving


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Iterator[HostileServer]:
    """A server that shows a certificate of a private authority, and asks for one of the same."""
    with hostile_server(serving(answer()), authority.server_context(asks_for_client=True)) as server:
        yield server


def _ask(server: HostileServer, *, authority: Path | None, client: Path | None) -> dict[str, object]:
    transport = Transport(
        ConnectionSettings(
            base_uri=server.uri,
            allow_private_network=True,
            ca_bundle=authority,
            client_certificate=client,
            bounds=Bounds(attempts=1, request_seconds=5),
        )
    )
    try:
        return transport.get_json(ReadCall.SERVER_INFO)
    finally:
        transport.close()


def test_a_private_authority_and_a_client_certificate_work_together(
    server: HostileServer, authority: Authority
) -> None:
    assert _ask(server, authority=authority.certificate, client=authority.client) == {}


def test_a_server_of_an_unknown_authority_is_not_talked_to(server: HostileServer, authority: Authority) -> None:
    with pytest.raises(UnreachableError, match=r"(?i)certificate"):
        _ask(server, authority=None, client=authority.client)


def test_without_its_certificate_a_client_is_turned_away_by_such_a_server(
    server: HostileServer, authority: Authority
) -> None:
    with pytest.raises(UnreachableError):
        _ask(server, authority=authority.certificate, client=None)


def test_only_what_holds_nothing_of_a_tenant_is_shared_between_tenants(authority: Authority) -> None:
    plain = [ConnectionSettings(base_uri=f"https://{name}.example") for name in ("acme", "globex")]
    own = [replace(settings, ca_bundle=authority.certificate) for settings in plain]
    shown = [replace(settings, client_certificate=authority.client) for settings in plain]

    assert tls_context(plain[0]) is tls_context(plain[1])
    contexts = [tls_context(settings) for settings in (*own, *shown, plain[0])]
    assert len(set(map(id, contexts))) == 5


def test_what_the_machine_trusts_by_its_environment_is_not_trusted(
    server: HostileServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "MLFLOW_TRACKING_SERVER_CERT_PATH"):
        monkeypatch.setenv(name, str(authority.certificate))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))

    with pytest.raises(UnreachableError, match=r"(?i)certificate"):
        _ask(server, authority=None, client=authority.client)
    _ask(server, authority=authority.certificate, client=authority.client)

    assert not (tmp_path / "keys").exists()
