"""TLS as a tenant describes it: an authority of its own, and a certificate of ours that the server asks for."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from verifywise_mlflow.connector.errors import UnreachableError
from verifywise_mlflow.connector.read_calls import ReadCall
from verifywise_mlflow.connector.settings import Bounds, ConnectionSettings
from verifywise_mlflow.connector.transport import Transport


@dataclass(frozen=True, slots=True)
class Server:
    """A server that shows a certificate of a private authority, and asks for one of the same."""

    uri: str
    authority: Path
    client: Path
    """Certificate and key for us, in one file."""


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the signature is http.server's
        """Keep quiet."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("authority", key, "authority", key)
    (tmp_path / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for name in ("server", "client"):
        own = ec.generate_private_key(ec.SECP256R1())
        (tmp_path / f"{name}.pem").write_bytes(
            _certificate(name, own, "authority", key).public_bytes(serialization.Encoding.PEM)
            + own.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "authority.pem"))
    context.load_cert_chain(tmp_path / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield Server(f"https://127.0.0.1:{http.server_port}", tmp_path / "authority.pem", tmp_path / "client.pem")
    http.shutdown()
    thread.join()
    http.server_close()


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _ask(server: Server, *, authority: Path | None, client: Path | None) -> dict[str, object]:
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


def test_a_private_authority_and_a_client_certificate_work_together(server: Server) -> None:
    assert _ask(server, authority=server.authority, client=server.client) == {}


def test_a_server_of_an_unknown_authority_is_not_talked_to(server: Server) -> None:
    with pytest.raises(UnreachableError, match=r"(?i)certificate"):
        _ask(server, authority=None, client=server.client)


def test_without_its_certificate_a_client_is_turned_away_by_such_a_server(server: Server) -> None:
    with pytest.raises(UnreachableError):
        _ask(server, authority=server.authority, client=None)
