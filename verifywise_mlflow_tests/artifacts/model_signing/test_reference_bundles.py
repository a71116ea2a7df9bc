"""Signatures that the reference implementation made of a real folder, and what becomes of them when it changes."""

from __future__ import annotations

import json

import pytest

from verifywise_mlflow.artifacts.model_signing.trust_store import TrustedKeys
from verifywise_mlflow.artifacts.model_signing.verification import Difference, SignatureCheck, verify
from verifywise_mlflow_tests.artifacts.model_signing.signed_folder import CURVES, NOT_AFTER, NOW, bundle, hashes, pem

BY_KEY = TrustedKeys.from_pem(public_keys=[pem("key-p256")])
BY_AUTHORITY = TrustedKeys.from_pem(authorities=[pem("authority")])


def check(name: str, files: dict[str, str], trusted: TrustedKeys = BY_KEY) -> SignatureCheck:
    return verify(bundle(name), files, trusted, NOW, signature_path="model.sig")


@pytest.mark.parametrize("curve", CURVES)
def test_a_folder_signed_with_a_trusted_key_is_valid_and_tells_the_key_as_the_bundle_does(curve: str) -> None:
    result = check(f"key-{curve}", hashes(), TrustedKeys.from_pem([pem("key-p256"), pem(f"key-{curve}")]))

    assert (result.status, result.signed_count, result.differences) == ("valid", 9, ())
    assert result.signer is not None
    hint = json.loads(bundle(f"key-{curve}"))["verificationMaterial"]["publicKey"]["hint"]
    assert (result.signer.method, result.signer.fingerprint) == ("key", hint)


def test_a_folder_signed_with_a_certificate_of_a_trusted_authority_is_valid_and_tells_the_subject() -> None:
    result = check("certificate", hashes(), BY_AUTHORITY)

    assert result.status == "valid"
    assert result.signer is not None
    assert (result.signer.method, result.signer.subject) == ("certificate", "CN=model-release@acme.example")


def test_what_the_signer_left_out_is_told_also_when_all_is_well() -> None:
    result = check("ignoring-notes", hashes())

    assert result.status == "valid"
    assert result.left_out == (".git/config", ".gitignore", "notes/today.txt")


@pytest.mark.parametrize(("name", "trusted"), [("key-p256", BY_KEY), ("certificate", BY_AUTHORITY)])
class TestAFolderThatIsNotAsItWasSigned:
    def test_a_file_with_other_bytes_is_a_mismatch(self, name: str, trusted: TrustedKeys) -> None:
        result = check(name, {**hashes(), "data/weights.bin": "0" * 64}, trusted)

        assert (result.status, result.differences) == ("mismatch", (Difference("changed", "data/weights.bin"),))

    def test_a_file_that_was_added_is_a_mismatch(self, name: str, trusted: TrustedKeys) -> None:
        result = check(name, {**hashes(), "code/hook.py": "0" * 64}, trusted)

        assert (result.status, result.differences) == ("mismatch", (Difference("unsigned", "code/hook.py"),))

    def test_a_file_that_is_gone_is_a_mismatch(self, name: str, trusted: TrustedKeys) -> None:
        files = hashes()
        del files["data/empty"]

        result = check(name, files, trusted)

        assert (result.status, result.differences) == ("mismatch", (Difference("missing", "data/empty"),))

    def test_a_file_under_another_name_is_a_mismatch(self, name: str, trusted: TrustedKeys) -> None:
        files = hashes()
        files["mlmodel"] = files.pop("MLmodel")

        result = check(name, files, trusted)

        assert result.differences == (Difference("missing", "MLmodel"), Difference("unsigned", "mlmodel"))


def test_a_key_that_nobody_trusts_makes_no_signature_valid() -> None:
    result = check("key-p384", hashes(), BY_KEY)

    assert (result.status, result.signer) == ("untrusted", None)
    assert result.reason is not None
    assert json.loads(bundle("key-p384"))["verificationMaterial"]["publicKey"]["hint"] in result.reason


@pytest.mark.parametrize("trusted", [BY_KEY, TrustedKeys()])
def test_a_certificate_without_its_authority_is_untrusted_but_told(trusted: TrustedKeys) -> None:
    result = check("certificate", hashes(), trusted)

    assert (result.status, result.reason) == ("untrusted", "no authority is trusted")
    assert result.signer is not None
    assert result.signer.subject == "CN=model-release@acme.example"


def test_a_certificate_that_has_expired_is_untrusted_since_nothing_tells_when_it_signed() -> None:
    result = verify(bundle("certificate"), hashes(), BY_AUTHORITY, NOT_AFTER.replace(day=2), signature_path="model.sig")

    assert result.status == "untrusted"
    assert result.reason == "its certificate is valid from 2026-01-01 to 2036-01-01 only"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("blake2", "it signs hashes other than SHA-256, which the manifest does not have"),
        ("blake3", "it signs hashes other than SHA-256, which the manifest does not have"),
        ("shards", "it signs parts of files, and the manifest has hashes of whole ones"),
        ("single-file", "it signs a single file without naming it"),
    ],
)
def test_a_good_signature_on_what_our_hashes_do_not_tell_is_not_verified_but_its_signer_is(
    name: str, reason: str
) -> None:
    result = check(name, hashes())

    assert (result.status, result.reason) == ("not verified", reason)
    assert result.signer is not None


def test_a_signed_file_that_was_not_hashed_leaves_the_signature_open() -> None:
    result = verify(bundle("key-p256"), {**hashes(), "data/weights.bin": None}, BY_KEY, NOW, signature_path="model.sig")

    assert (result.status, result.reason) == ("not verified", "'data/weights.bin' was not hashed")


def test_a_mismatch_is_told_also_where_another_file_was_not_hashed() -> None:
    files = {**hashes(), "data/weights.bin": None, "MLmodel": "0" * 64}

    result = verify(bundle("key-p256"), files, BY_KEY, NOW, signature_path="model.sig")

    assert (result.status, result.differences) == ("mismatch", (Difference("changed", "MLmodel"),))


def test_of_many_differences_a_hundred_are_kept_and_all_are_counted() -> None:
    result = check("key-p256", {**hashes(), **{f"extra/{number:04}": "0" * 64 for number in range(1_000)}})

    assert (len(result.differences), result.difference_count) == (100, 1_000)
    assert result.reason == "'extra/0000' is there and was not signed, and 999 more differ"
