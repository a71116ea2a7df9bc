"""Private certificate authorities for tests, each with certificates for a server at 127.0.0.1 and for a client."""

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
_CERTIFICATE_SIGNING = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class Authority:
    """PEM files of an authority and of the two certificates that it issued."""

    certificate: Path
    server: Path
    """Certificate and key, in one file. Valid for 127.0.0.1 and mlflow.example."""
    client: Path
    """Certificate and key, in one file."""

    def server_context(self, *, requires_client_certificate: bool = False) -> ssl.SSLContext:
        """Return a server's TLS context, which may require a client certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_verify_locations(self.certificate)
        context.load_cert_chain(self.server)
        context.verify_mode = ssl.CERT_REQUIRED if requires_client_certificate else ssl.CERT_NONE
        return context


def make_authority(directory: Path, name: str = "authority", *, has_key_usage: bool = True) -> Authority:
    """Create an authority and its certificates, in files whose names begin with ``name``.

    Without key usage, the authority is like the result of plain ``openssl req -x509``: strict verification rejects it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    authority = Authority(*(directory / f"{name}-{role}.pem" for role in ("authority", "server", "client")))
    authority.certificate.write_bytes(
        _certificate(name, key, name, key, has_key_usage=has_key_usage).public_bytes(_PEM)
    )
    for file in (authority.server, authority.client):
        own_key = ec.generate_private_key(ec.SECP256R1())
        file.write_bytes(
            _certificate(file.stem, own_key, name, key).public_bytes(_PEM)
            + own_key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
    return authority


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    has_key_usage: bool = True,
) -> x509.Certificate:
    now = datetime.now(UTC)
    names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("mlflow.example")]
    is_authority = name == issuer
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if is_authority and has_key_usage:
        builder = builder.add_extension(_CERTIFICATE_SIGNING, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())
