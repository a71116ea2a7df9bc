"""Signatures by the reference implementation over a real folder, before and after the folder changes."""

from __future__ import annotations

import json

import pytest

from verifywise_mlflow.artifacts.model_signing.trust_store import TrustStore
from verifywise_mlflow.artifacts.model_signing.verification import FileDifference, SignatureCheck, verify_signature
from verifywise_mlflow_tests.artifacts.model_signing.signed_folder import CURVES, NOT_AFTER, NOW, bundle, hashes, pem

BY_KEY = TrustStore.from_pem(public_keys=[pem("key-p256")])
BY_AUTHORITY = TrustStore.from_pem(authorities=[pem("authority")])


def check(name: str, files: dict[str, str], trusted: TrustStore = BY_KEY) -> SignatureCheck:
    return verify_signature(bundle(name), files, trusted, NOW, signature_path="model.sig")


@pytest.mark.parametrize("curve", CURVES)
def test_a_folder_signed_with_a_trusted_key_is_valid(curve: str) -> None:
    result = check(f"key-{curve}", hashes(), TrustStore.from_pem([pem("key-p256"), pem(f"key-{curve}")]))

    assert (result.status, result.signed_count, result.differences) == ("valid", 9, ())
    assert result.signer is not None
    hint = json.loads(bundle(f"key-{curve}"))["verificationMaterial"]["publicKey"]["hint"]
    assert (result.signer.method, result.signer.fingerprint) == ("key", hint)


def test_a_folder_signed_with_a_certificate_of_a_trusted_authority_is_valid() -> None:
    result = check("certificate", hashes(), BY_AUTHORITY)

    assert result.status == "valid"
    assert result.signer is not None
    assert (result.signer.method, result.signer.subject) == ("certificate", "CN=model-release@acme.example")


def test_ignored_files_are_reported_for_a_valid_signature() -> None:
    result = check("ignoring-notes", hashes())

    assert result.status == "valid"
    assert result.left_out == (".git/config", ".gitignore", "notes/today.txt")


@pytest.mark.parametrize(("name", "trusted"), [("key-p256", BY_KEY), ("certificate", BY_AUTHORITY)])
class TestAModifiedFolder:
    def test_a_changed_file_is_a_mismatch(self, name: str, trusted: TrustStore) -> None:
        result = check(name, {**hashes(), "data/weights.bin": "0" * 64}, trusted)

        assert (result.status, result.differences) == ("mismatch", (FileDifference("changed", "data/weights.bin"),))

    def test_an_added_file_is_a_mismatch(self, name: str, trusted: TrustStore) -> None:
        result = check(name, {**hashes(), "code/hook.py": "0" * 64}, trusted)

        assert (result.status, result.differences) == ("mismatch", (FileDifference("unsigned", "code/hook.py"),))

    def test_a_missing_file_is_a_mismatch(self, name: str, trusted: TrustStore) -> None:
        files = hashes()
        del files["data/empty"]

        result = check(name, files, trusted)

        assert (result.status, result.differences) == ("mismatch", (FileDifference("missing", "data/empty"),))

    def test_a_renamed_file_is_a_mismatch(self, name: str, trusted: TrustStore) -> None:
        files = hashes()
        files["mlmodel"] = files.pop("MLmodel")

        result = check(name, files, trusted)

        assert result.differences == (FileDifference("missing", "MLmodel"), FileDifference("unsigned", "mlmodel"))


def test_a_signature_by_an_untrusted_key_is_untrusted() -> None:
    result = check("key-p384", hashes(), BY_KEY)

    assert (result.status, result.signer) == ("untrusted", None)
    assert result.reason is not None
    assert json.loads(bundle("key-p384"))["verificationMaterial"]["publicKey"]["hint"] in result.reason


@pytest.mark.parametrize("trusted", [BY_KEY, TrustStore()])
def test_a_certificate_without_a_trusted_authority_is_untrusted_but_reported(trusted: TrustStore) -> None:
    result = check("certificate", hashes(), trusted)

    assert (result.status, result.reason) == ("untrusted", "the tenant trusts no authority")
    assert result.signer is not None
    assert result.signer.subject == "CN=model-release@acme.example"


def test_an_expired_certificate_is_untrusted() -> None:
    result = verify_signature(
        bundle("certificate"), hashes(), BY_AUTHORITY, NOT_AFTER.replace(day=2), signature_path="model.sig"
    )

    assert result.status == "untrusted"
    assert result.reason == "its certificate is valid only from 2026-01-01 to 2036-01-01"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("blake2", "it signs hashes other than SHA-256, which the manifest does not have"),
        ("blake3", "it signs hashes other than SHA-256, which the manifest does not have"),
        ("shards", "it signs parts of files, but the manifest has hashes of whole files"),
        ("single-file", "it signs a single file without naming it"),
    ],
)
def test_a_good_signature_over_other_hashes_is_not_verified_but_names_its_signer(name: str, reason: str) -> None:
    result = check(name, hashes())

    assert (result.status, result.reason) == ("not verified", reason)
    assert result.signer is not None


def test_a_signed_file_without_a_hash_leaves_the_signature_not_verified() -> None:
    result = verify_signature(
        bundle("key-p256"), {**hashes(), "data/weights.bin": None}, BY_KEY, NOW, signature_path="model.sig"
    )

    assert (result.status, result.reason) == ("not verified", "'data/weights.bin' was not hashed")


def test_a_mismatch_is_reported_even_if_another_file_was_not_hashed() -> None:
    files = {**hashes(), "data/weights.bin": None, "MLmodel": "0" * 64}

    result = verify_signature(bundle("key-p256"), files, BY_KEY, NOW, signature_path="model.sig")

    assert (result.status, result.differences) == ("mismatch", (FileDifference("changed", "MLmodel"),))


def test_at_most_a_hundred_differences_are_reported_and_all_are_counted() -> None:
    result = check("key-p256", {**hashes(), **{f"extra/{number:04}": "0" * 64 for number in range(1_000)}})

    assert (len(result.differences), result.difference_count) == (100, 1_000)
    assert result.reason == "'extra/0000' is present but was not signed, and 999 more differ"
