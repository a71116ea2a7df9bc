"""Bundles that try to be accepted or to crash the parser, signed with a trusted key where possible."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.model_signing.statement_reader import MAX_SIGNED_FILES
from verifywise_mlflow.artifacts.model_signing.strict_json import MAX_JSON_BYTES
from verifywise_mlflow.artifacts.model_signing.trust_store import key_fingerprint
from verifywise_mlflow.artifacts.model_signing.verification import SignatureCheck, verify_signature
from verifywise_mlflow_tests.artifacts.model_signing.forge import (
    FILES,
    KEY,
    KEY_MATERIAL,
    NOW,
    TRUST,
    Json,
    base64_of,
    bundle,
    bundle_document,
    resource,
    sign,
    statement,
)

A, B = "a" * 64, "b" * 64


def check(content: bytes, files: dict[str, str] | None = None) -> SignatureCheck:
    return verify_signature(content, FILES if files is None else files, TRUST, NOW)


def test_an_unmodified_bundle_is_valid() -> None:
    assert check(bundle(statement())).status == "valid"


SHA512_ONLY: Json = [{"name": "m", "digest": {"sha512": A}}]
REPEATED = json.dumps(statement()).replace('"predicateType"', '"predicateType": "first", "predicateType"').encode()


@pytest.mark.parametrize(
    ("signed", "expected_message"),
    [
        (b"", "the payload is not text"),
        (b"no json", "not JSON"),
        (b"[]", "the statement is not an object"),
        (b"\xff\xfe", "the bytes are not UTF-8 text"),
        (b"[" * 400_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" + b"9" * 5_000 + b"]", "a number is too long"),
        (b'{"a": NaN}', "not JSON: NaN"),
        (b"[" + b"{}," * 300_000 + b"{}]", "more than 500000 values"),
        (REPEATED, "an object has a duplicate key"),
        ({**statement(), "_type": "https://in-toto.io/Statement/v0.1"}, "not an in-toto statement v1"),
        ({**statement(), "subject": []}, "the subject is not a list of 1"),
        ({**statement(), "subject": SHA512_ONLY}, "the root digest is not that"),
        ({**statement(), "predicate": None}, "the predicate is not an object"),
        (statement(root=A), "the root digest is not that of the files"),
        (statement([]), "not a list of 1 to 50000"),
        (statement([resource("f", A)] * 2), "a file is listed twice"),
        (statement([resource(str(number), A) for number in range(MAX_SIGNED_FILES + 1)]), "not a list of 1 to 50000"),
        (statement([resource("f", A[:-2])]), "not a lowercase SHA-256"),
        (statement([resource("f", A.upper())]), "not a lowercase SHA-256"),
        (statement([resource("f", A + "\n")]), "not a lowercase SHA-256"),
        (statement([resource("f", "xyz")], root=A), "not hexadecimal"),
        (statement([{"name": "f", "digest": {"sha256": A}, "algorithm": "sha256"}], root=A), "digest is not text"),
        (statement([{"digest": A, "algorithm": "sha256"}]), "name is not text"),
        (statement([None], root=A), "a resource is not an object"),
        (statement(allow_symlinks="false"), "symbolic links"),
        (statement(ignore_paths=["."]), "an ignored path"),
        (statement(ignore_paths=["data/.."]), "an ignored path"),
        (statement(ignore_paths=["/"]), "an ignored path"),
        (statement(ignore_paths=[""]), "an ignored path"),
        (statement(ignore_paths=["x"] * 1_001), "the list of ignored paths"),
        (statement(ignore_paths="data"), "the list of ignored paths"),
    ],
)
def test_an_invalid_statement_is_rejected_even_if_a_trusted_key_signed_it(
    signed: dict[str, Json] | bytes, expected_message: str
) -> None:
    result = check(bundle(signed))

    assert result.status == "invalid"
    assert expected_message in (result.reason or "")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a/../../up", "a//b", "./a", "a/", "a/.", "..", "nul\0", "\ud800", "x" * 5_000]
)
def test_a_statement_with_invalid_paths_is_rejected_even_if_the_model_has_them(name: str) -> None:
    result = check(bundle(statement([resource(name, A), resource("f", B)])), {name: A, "f": B})

    assert result.status == "invalid"
    assert result.reason == "a file's path is absolute, leads out of the model or is not normalized"


@pytest.mark.parametrize(
    ("signed", "expected_message"),
    [
        (statement([resource("MLmodel", A, "md5"), resource("data/model.pkl", B)]), "other than SHA-256"),
        (statement(hash_type="blake2b"), "other than SHA-256"),
        (statement(method="shards", shard_size=10), "parts of files"),
        (statement(method="tensors"), "an unsupported method"),
        (statement([resource(".", A)]), "a single file"),
        ({**statement(), "predicateType": "https://slsa.dev/provenance/v1"}, "not about a model's files"),
        ({**statement(), "predicateType": "https://model_signing/Digests/v0.1"}, "model-signing 0.2"),
    ],
)
def test_a_valid_statement_that_our_hashes_cannot_check_is_not_verified(
    signed: dict[str, Json], expected_message: str
) -> None:
    result = check(bundle(signed))

    assert result.status == "not verified"
    assert expected_message in (result.reason or "")


def edited(edit: Callable[[dict[str, Json], dict[str, Json]], object]) -> bytes:
    """Return a valid bundle after ``edit`` was applied to the bundle and its envelope."""
    document = bundle_document(statement())
    envelope = document["dsseEnvelope"]
    assert isinstance(envelope, dict)
    edit(document, envelope)
    return json.dumps(document).encode()


PAYLOAD = json.dumps(statement()).encode()
OTHER = json.dumps(statement([resource("MLmodel", B), resource("data/model.pkl", B)])).encode()
GOOD: Json = {"sig": base64_of(sign(PAYLOAD)), "keyid": ""}
LOG: Json = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": [{}]}


@pytest.mark.parametrize(
    ("edit", "expected_message"),
    [
        (lambda _, envelope: envelope.update(signatures=[]), "not a list of 1"),
        (lambda _, envelope: envelope.update(signatures=[GOOD, GOOD]), "not a list of 1"),
        (lambda _, envelope: envelope.update(signatures={"0": GOOD}), "not a list of 1"),
        (lambda _, envelope: envelope.update(signatures=["MEUC"]), "the signature is not an object"),
        (lambda _, envelope: envelope.update(signatures=[{"sig": "AAAA"}]), "the signature is not by"),
        (lambda _, envelope: envelope.update(signatures=[{"sig": "A" * 4_000}]), "more than 1024 bytes"),
        (lambda _, envelope: envelope.update(payload=base64_of(OTHER)), "the signature is not by"),
        (lambda _, envelope: envelope.update(payload=base64_of(PAYLOAD) + "!"), "not base64"),
        (lambda _, envelope: envelope.update(payload="\n" + base64_of(PAYLOAD)), "not base64"),
        (lambda _, envelope: envelope.update(payload="ä" + base64_of(PAYLOAD)), "not base64"),
        (lambda _, envelope: envelope.pop("payload"), "the payload is not text"),
        (lambda document, _: document.pop("dsseEnvelope"), "the envelope is not an object"),
        (lambda document, _: document.update(messageSignature={}), "two signatures"),
        (lambda document, _: document.update(verificationMaterial=[]), "the verification material is not an object"),
        (lambda document, _: document.update(verificationMaterial={}), "0 kinds of key material"),
        (lambda document, _: document.update(verificationMaterial={**KEY_MATERIAL, **_dict(LOG)}), "2 kinds"),
        (lambda document, _: document.update(verificationMaterial={"publicKey": {}}), "name the key that signed it"),
        (lambda document, _: document.update(verificationMaterial={"publicKey": {"hint": 7}}), "the key hint"),
        (
            lambda document, _: document.update(verificationMaterial={"certificate": {"rawBytes": "AAAA"}}),
            "log's entry",
        ),
        (lambda document, _: document.update(verificationMaterial=_chain()), "not a list of 1 to 10"),
        (lambda document, _: document.update(verificationMaterial=_chain(*["AAAA"] * 11)), "not a list of 1 to 10"),
        (lambda document, _: document.update(verificationMaterial=_chain("A" * 400_000)), "more than 65536 bytes"),
        (lambda document, _: document.update(verificationMaterial=_chain("AAAA")), "cannot be read"),
    ],
)
def test_a_broken_bundle_is_invalid(
    edit: Callable[[dict[str, Json], dict[str, Json]], object], expected_message: str
) -> None:
    # The hint names the signing key: otherwise a bad signature could be the signature of an unknown key.
    result = check(_naming_the_trusted_key(edited(edit)))

    assert result.status == "invalid"
    assert expected_message in (result.reason or "")


@pytest.mark.parametrize(
    ("content", "expected_message"),
    [
        (b"", "not JSON"),
        (b"\x89PGP", "the bytes are not UTF-8 text"),
        (b"untrusted comment: signature from minisign", "not JSON"),
        (b" " * (MAX_JSON_BYTES + 1), "larger than"),
        (b"[" * 100_000, "nested too deeply"),
        (b"{}", "media type"),
        (edited(lambda document, _: document.update(mediaType=["x"])), "media type"),
        (
            edited(lambda document, _: document.update(mediaType="application/vnd.dev.sigstore.bundle.v9+json")),
            "version",
        ),
        (edited(lambda document, _: document.update(messageSignature=document.pop("dsseEnvelope"))), "one file"),
        (edited(lambda _, envelope: envelope.update(payloadType="text/plain")), "not an in-toto statement"),
        (edited(lambda document, _: document.update(verificationMaterial=LOG)), "keyless"),
    ],
)
def test_another_kind_of_file_or_bundle_is_not_verified(content: bytes, expected_message: str) -> None:
    result = check(content)

    assert result.status == "not verified"
    assert expected_message in (result.reason or "")


DOCUMENT = bundle(statement())


@given(st.integers(0, len(DOCUMENT) - 1), st.binary(max_size=3), st.integers(0, 40))
def test_a_corrupted_bundle_is_never_valid_unless_its_content_is_the_same(
    start: int, inserted: bytes, removed: int
) -> None:
    changed = DOCUMENT[:start] + inserted + DOCUMENT[start + removed :]

    result = check(changed)

    assert result.status != "valid" or _signed_content(changed) == _signed_content(DOCUMENT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = ["_type", "subject", "predicateType", "predicate", "resources", "serialization", "digest", "hash_type"]


@given(st.sampled_from(PLACES), json_values)
def test_any_value_of_a_statement_field_is_rejected_with_a_reason(json_path: str, value: Json) -> None:
    result = check(bundle(_with_replaced_value(statement(), json_path, value)))

    assert result.status in ("invalid", "not verified", "mismatch")
    assert result.reason


def _with_replaced_value(value: Json, json_path: str, replacement: Json) -> dict[str, Json]:
    def replaced(value: Json) -> Json:
        if isinstance(value, dict):
            return {name: replacement if name == json_path else replaced(inner) for name, inner in value.items()}
        return [replaced(inner) for inner in value] if isinstance(value, list) else value

    return _dict(replaced(value))


def _signed_content(content: bytes) -> object:
    """Return the relevant content of a bundle: the payload and its signature, not the name of the key."""
    envelope = json.loads(content)["dsseEnvelope"]
    return envelope["payload"], envelope["payloadType"], [signature["sig"] for signature in envelope["signatures"]]


def _naming_the_trusted_key(content: bytes) -> bytes:
    return content.replace(b"0" * 64, key_fingerprint(KEY.public_key()).encode())


def _dict(value: Json) -> dict[str, Json]:
    assert isinstance(value, dict)
    return value


def _chain(*certificates: str) -> dict[str, Json]:
    return {"x509CertificateChain": {"certificates": [{"rawBytes": encoded} for encoded in certificates]}}
