"""Certificate chains and key usage. Every signature here is good; only the certificates differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.model_signing.certificates import distrust_reason
from verifywise_mlflow.artifacts.model_signing.trust_store import TrustStore
from verifywise_mlflow.artifacts.model_signing.verification import SignatureCheck, verify_signature
from verifywise_mlflow_tests.artifacts.model_signing.forge import (
    FILES,
    KEY,
    NOW,
    OTHER_KEY,
    Extensions,
    Json,
    base64_of,
    bundle,
    certificate,
    chain_material,
    statement,
)

ROOT_KEY, SIGNERS_KEY = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())


USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def usage(*allowed: str) -> tuple[x509.KeyUsage, bool]:
    return x509.KeyUsage(**{name: name in allowed for name in USAGES}), True


def purposes(*oids: ObjectIdentifier) -> tuple[x509.ExtendedKeyUsage, bool]:
    return x509.ExtendedKeyUsage(oids), False


AUTHORITY = (x509.BasicConstraints(ca=True, path_length=None), True)
NO_AUTHORITY = (x509.BasicConstraints(ca=False, path_length=None), True)
SIGNING = [usage("digital_signature"), purposes(Purpose.CODE_SIGNING)]
UNKNOWN = (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)


def root(extensions: Extensions = (AUTHORITY,), days: tuple[int, int] = (-10, 10)) -> x509.Certificate:
    return certificate("Root", ROOT_KEY, "Root", ROOT_KEY, extensions, days=days)


def intermediate(extensions: Extensions = (AUTHORITY,), days: tuple[int, int] = (-10, 10)) -> x509.Certificate:
    return certificate("Signers", SIGNERS_KEY, "Root", ROOT_KEY, extensions, days=days)


def signer(extensions: Extensions = tuple(SIGNING), days: tuple[int, int] = (-10, 10)) -> x509.Certificate:
    return certificate("release", KEY, "Signers", SIGNERS_KEY, extensions, days=days)


@dataclass(frozen=True)
class Chain:
    """The certificates in the bundle and the authorities that the tenant trusts."""

    signer: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    authorities: tuple[x509.Certificate, ...]

    def check(self) -> SignatureCheck:
        content = bundle(statement(), material=chain_material(self.signer, *self.intermediates))
        return verify_signature(content, FILES, TrustStore(authorities=self.authorities), NOW)


def chain(
    leaf: x509.Certificate | None = None,
    by: x509.Certificate | None = None,
    trust_anchor: x509.Certificate | None = None,
) -> Chain:
    return Chain(leaf or signer(), (by or intermediate(),), (trust_anchor or root(),))


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(chain(), id="signer, intermediate and root"),
        pytest.param(Chain(signer(), (), (intermediate(),)), id="an intermediate can be trusted itself"),
        pytest.param(Chain(signer(), (intermediate(), root()), (root(),)), id="the bundle may bring the root along"),
        pytest.param(chain(signer([usage("digital_signature")])), id="for signatures of whatever"),
        pytest.param(chain(signer([purposes(Purpose.CODE_SIGNING)])), id="for code"),
        pytest.param(chain(signer([purposes(Purpose.ANY_EXTENDED_KEY_USAGE)])), id="for any purpose"),
        pytest.param(chain(by=intermediate([AUTHORITY, usage("key_cert_sign")])), id="an issuer that states its usage"),
    ],
)
def test_a_chain_to_a_trusted_authority_makes_a_signature_valid(good: Chain) -> None:
    assert good.check().status == "valid"


@pytest.mark.parametrize(
    ("bad", "expected_message"),
    [
        (chain(signer(days=(-10, -1))), "valid only from 2026-10-22 to 2026-10-31"),
        (chain(signer(days=(1, 10))), "valid only from 2026-11-02"),
        (chain(by=intermediate(days=(-10, -1))), "not valid at validation time"),
        (chain(trust_anchor=root(days=(-10, -1))), "not valid at validation time"),
        (chain(signer([])), "states no usage"),
        (chain(signer([usage("key_agreement")])), "not for digital signatures"),
        (chain(signer([usage("digital_signature"), purposes(Purpose.SERVER_AUTH)])), "not for signing code"),
        (chain(signer([*SIGNING, UNKNOWN])), "unaccounted-for critical extensions"),
        (chain(by=intermediate([])), "no basicConstraints"),
        (chain(by=intermediate([NO_AUTHORITY])), "basicConstraints.cA must be asserted"),
        (chain(by=intermediate([AUTHORITY, usage("digital_signature")])), "may not sign certificates"),
        (
            chain(by=intermediate([AUTHORITY, purposes(Purpose.SERVER_AUTH)])),
            "may not issue certificates for code signing",
        ),
        (chain(trust_anchor=root([(x509.BasicConstraints(ca=True, path_length=0), True)])), "path length"),
        (Chain(signer(), (), (root(),)), "does not chain to a trusted authority"),
        (
            chain(trust_anchor=certificate("Root", OTHER_KEY, "Root", OTHER_KEY, [AUTHORITY])),
            "signature does not match",
        ),
        (
            Chain(certificate("release", KEY, "release", KEY, [AUTHORITY, *SIGNING]), (), (root(),)),
            "does not chain to a trusted authority",
        ),
    ],
)
def test_without_a_valid_chain_the_signer_is_reported_but_untrusted(bad: Chain, expected_message: str) -> None:
    result = bad.check()

    assert result.status == "untrusted"
    assert expected_message in (result.reason or "")
    assert result.signer is not None
    assert result.signer.subject == "CN=release"


def test_a_certificate_for_another_key_than_the_signing_one_is_invalid() -> None:
    forged_certificate = certificate("release", OTHER_KEY, "Signers", SIGNERS_KEY, SIGNING)

    result = Chain(forged_certificate, (intermediate(),), (root(),)).check()

    assert (result.status, result.signer) == ("invalid", None)


def test_trusting_a_key_does_not_imply_trusting_its_certificate() -> None:
    content = bundle(statement(), material=chain_material(signer(), intermediate()))

    assert verify_signature(content, FILES, TrustStore(public_keys=(KEY.public_key(),)), NOW).status == "untrusted"


def test_a_certificate_with_an_unsupported_key_is_not_verified() -> None:
    rsa_certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(rsa.generate_private_key(65537, 2048).public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(ROOT_KEY, hashes.SHA256())
    )

    result = Chain(rsa_certificate, (), (root(),)).check()

    assert (result.status, result.reason) == (
        "not verified",
        "the signer's certificate has a key that is not on the curve P-256, P-384 or P-521",
    )


def test_a_cycle_of_issuers_terminates() -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    cyclic_certificates = [
        certificate("Signers", issuer, "Signers", other, [AUTHORITY]) for issuer in keys for other in keys
    ]
    lost = certificate("release", KEY, "Signers", keys[0], SIGNING)

    assert "does not chain to a trusted authority" in (distrust_reason(lost, cyclic_certificates, [root()], NOW) or "")


DER = signer().public_bytes(serialization.Encoding.DER)
ABOVE = intermediate().public_bytes(serialization.Encoding.DER)
TRUST = TrustStore(authorities=(root(),))


@given(st.integers(0, len(DER) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_corrupted_certificate_is_never_trusted(start: int, inserted: bytes, removed: int) -> None:
    changed = DER[:start] + inserted + DER[start + removed :]
    bundled_certificates: list[Json] = [{"rawBytes": base64_of(certificate)} for certificate in (changed, ABOVE)]

    result = verify_signature(
        bundle(statement(), material={"x509CertificateChain": {"certificates": bundled_certificates}}),
        FILES,
        TRUST,
        NOW,
    )

    assert result.status != "valid" or changed == DER
