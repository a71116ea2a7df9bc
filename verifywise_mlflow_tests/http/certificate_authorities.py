"""Certificates of private authorities, made for a test: one for a server at 127.0.0.1, one for a client."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Authority:
    """PEM files of an authority and of the two that it vouches for."""

    certificate: Path
    server: Path
    """Certificate and key, in one file. Valid for 127.0.0.1 and mlflow.example."""
    client: Path
    """Certificate and key, in one file."""

    def server_context(self, *, asks_for_client: bool = False) -> ssl.SSLContext:
        """Return the TLS of a server, which may take only clients of this authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.certificate))
        context.load_cert_chain(self.server)
        context.verify_mode = ssl.CERT_REQUIRED if asks_for_client else ssl.CERT_NONE
        return context


def make_authority(directory: Path, name: str = "authority") -> Authority:
    """Make an authority and its certificates; the files' names begin with its name."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = Authority(*(directory / f"{name}-{whose}.pem" for whose in ("authority", "server", "client")))
    authority.certificate.write_bytes(_certificate(name, key, name, key).public_bytes(_PEM))
    for whose in (authority.server, authority.client):
        own = ec.generate_private_key(ec.SECP256R1())
        whose.write_bytes(
            _certificate(whose.stem, own, name, key).public_bytes(_PEM)
            + own.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
    return authority


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.now(UTC)
    places = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("mlflow.example")]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(places), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
