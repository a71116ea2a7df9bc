"""A real time-stamp authority (RFC 3161): OpenSSL behind HTTP, with its own root and certificate."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CONFIGURATION = """
[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/authority.pem
signer_key = {folder}/key.pem
certs = {folder}/chain.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass
class TimestampServer:
    """An authority, the queries that it received, and its configured response."""

    folder: Path
    url: str = ""
    queries: list[bytes] = field(default_factory=list)
    respond: Callable[[bytes], tuple[int, bytes]] = field(init=False)
    """Returns the status and the body of the response to a query."""

    def __post_init__(self) -> None:
        self.respond = self.reply

    @property
    def root(self) -> Path:
        """The root certificate in PEM."""
        return self.folder / "root.pem"

    def reply(self, query: bytes) -> tuple[int, bytes]:
        """Return OpenSSL's reply to a query."""
        query_file, reply_file = self.folder / "query.tsq", self.folder / "reply.tsr"
        query_file.write_bytes(query)
        files = ("-config", self.folder / "tsa.cnf", "-queryfile", query_file, "-out", reply_file)
        subprocess.run(["openssl", "ts", "-reply", *files], check=True, capture_output=True)
        return 200, reply_file.read_bytes()


@contextmanager
def timestamp_server(folder: Path) -> Iterator[TimestampServer]:
    """Serve an authority whose files are in the folder."""
    make_authority(folder)
    (folder / "tsa.cnf").write_text(_CONFIGURATION.format(folder=folder))
    (folder / "serial").write_text("01\n")
    authority = TimestampServer(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            authority.queries.append(query)
            status, body = authority.respond(query)
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        authority.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield authority
        server.shutdown()
        thread.join()


def make_authority(folder: Path) -> None:
    """Write a root certificate, an intermediate certificate, and the certificate and key of an authority below them.

    The authority's certificate is the longest, so OpenSSL sends the certificates in an order that DER does not allow.
    """
    folder.mkdir(exist_ok=True)
    root_key, middle_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    issues = x509.BasicConstraints(ca=True, path_length=None)
    stamps = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    root = _certificate("root", root_key, "root", root_key, issues)
    (folder / "root.pem").write_bytes(root)
    (folder / "chain.pem").write_bytes(_certificate("middle", middle_key, "root", root_key, issues) + root)
    (folder / "authority.pem").write_bytes(_certificate("authority", key, "middle", middle_key, stamps))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    usage: x509.ExtensionType,
) -> bytes:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
