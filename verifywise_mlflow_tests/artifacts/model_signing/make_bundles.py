"""Signs the folder of ``signed_folder`` with the reference implementation, in every way that needs no Sigstore.

The bundles are kept in the repository, so that the tests need neither the reference implementation nor a network. The
reference implementation would bring 14 packages (Sigstore's and The Update Framework's among them), and its release
1.1.1 needs another package that it does not declare. To regenerate the bundles with new keys, run from the root of the
repository:

    python -m venv build/oms && build/oms/bin/pip install model-signing==1.1.1 pyOpenSSL
    build/oms/bin/python -m verifywise_mlflow_tests.artifacts.model_signing.make_bundles

The private keys are in a temporary folder and are deleted when the program ends.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from model_signing import hashing, signing

from verifywise_mlflow_tests.artifacts.model_signing.signed_folder import BUNDLES, CURVES, FILES, FOLDER, NOT_AFTER

_NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)


def make_bundles(directory: Path) -> None:
    model = directory / FOLDER
    for path, content in FILES.items():
        (model / path).parent.mkdir(parents=True, exist_ok=True)
        (model / path).write_bytes(content)

    keys = {name: ec.generate_private_key(getattr(ec, curve)()) for name, curve in CURVES.items()}
    for name, key in keys.items():
        _write_key(directory / f"{name}.key", key)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (BUNDLES / f"key-{name}.pem").write_bytes(public)

    def by_key(name: str = "p256") -> signing.Config:
        return signing.Config().use_elliptic_key_signer(private_key=directory / f"{name}.key")

    def sign(
        signer: signing.Config, hashing_config: hashing.Config, name: str, source: Path = model, ignored: str = ""
    ) -> None:
        # Like the command line: the signature is in the folder and is ignored.
        paths = [model / "model.sig", *([model / ignored] if ignored else [])]
        hashing_config.set_ignored_paths(paths=paths if source == model else [])
        signer.set_hashing_config(hashing_config).sign(source, BUNDLES / f"{name}.sig")

    for name in CURVES:
        sign(by_key(name), hashing.Config(), f"key-{name}")
    sign(by_key(), hashing.Config(), "ignoring-notes", ignored="notes")
    sign(by_key(), hashing.Config().use_file_serialization(hashing_algorithm="blake2"), "blake2")
    sign(by_key(), hashing.Config().use_file_serialization(hashing_algorithm="blake3"), "blake3")
    sign(by_key(), hashing.Config().use_shard_serialization(shard_size=1_000), "shards")
    sign(by_key(), hashing.Config(), "single-file", source=model / "MLmodel")

    root, intermediate, signer = (ec.generate_private_key(ec.SECP384R1()) for _ in range(3))
    chain = {
        "authority": _certificate("Example Root", root, "Example Root", root, path_length=1),
        "intermediate": _certificate("Example Signers", intermediate, "Example Root", root, path_length=0),
        "signer": _certificate("model-release@acme.example", signer, "Example Signers", intermediate, None),
    }
    for name, certificate in chain.items():
        (directory / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(directory / "signer.key", signer)
    (BUNDLES / "authority.pem").write_bytes((directory / "authority.pem").read_bytes())
    by_certificate = signing.Config().use_certificate_signer(
        private_key=directory / "signer.key",
        signing_certificate=directory / "signer.pem",
        certificate_chain=[directory / "intermediate.pem"],
    )
    sign(by_certificate, hashing.Config(), "certificate")


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    path_length: int | None,
) -> x509.Certificate:
    """Return the certificate of an authority, or of a signer if ``path_length`` is ``None``."""
    is_authority = path_length is not None
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_authority,
                key_cert_sign=is_authority,
                encipher_only=False,
                decipher_only=False,
                **usage,
            ),
            critical=True,
        )
    )
    if not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


if __name__ == "__main__":
    BUNDLES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        make_bundles(Path(directory))
