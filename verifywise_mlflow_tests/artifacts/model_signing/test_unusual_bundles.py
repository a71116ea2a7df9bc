"""Bundles that encode data or name their key in a way other than today's reference implementation."""

from __future__ import annotations

import base64
import json

from verifywise_mlflow.artifacts.model_signing.verification import SignatureCheck, verify_signature
from verifywise_mlflow_tests.artifacts.model_signing import signed_folder
from verifywise_mlflow_tests.artifacts.model_signing.forge import (
    FILES,
    NOW,
    OTHER_KEY,
    TRUST,
    Json,
    base64_of,
    bundle,
    bundle_document,
    statement,
)

PAYLOAD = json.dumps(statement()).encode()


def check(content: bytes) -> SignatureCheck:
    return verify_signature(content, FILES, TRUST, NOW)


def test_non_canonical_base64_is_rejected_even_if_it_decodes_to_the_signed_bytes() -> None:
    padded = PAYLOAD + b" " * (-(len(PAYLOAD) - 1) % 3)
    assert base64.b64encode(padded).endswith(b"=="), "two bits short of a whole"
    signed = bundle_document(padded)
    text = base64_of(padded)
    loose = text[:-3] + chr(ord(text[-3]) + 1) + "=="
    assert base64.b64decode(loose) == padded

    assert check(json.dumps(signed).encode()).status == "valid"
    result = check(json.dumps(signed).encode().replace(text.encode(), loose.encode()))

    assert (result.status, result.reason) == ("invalid", "the payload is not canonical base64")


def test_url_safe_base64_is_accepted_as_dsse_requires() -> None:
    signed = {**statement(), "??>>": "~~~???"}
    content = bundle(signed)
    text = base64_of(json.dumps(signed).encode())
    assert "/" in text

    assert check(content.replace(text.encode(), text.replace("+", "-").replace("/", "_").encode())).status == "valid"


def test_a_bundle_that_contains_its_own_key_is_not_trusted_for_it() -> None:
    content = signed_folder.bundle("key-p256")
    document = json.loads(content)
    document["verificationMaterial"]["publicKey"] = {"rawBytes": base64_of(signed_folder.pem("key-p256"))}

    result = verify_signature(
        json.dumps(document).encode(), signed_folder.hashes(), TRUST, NOW, signature_path="model.sig"
    )

    assert (result.status, result.reason) == ("untrusted", "the tenant does not trust its key")
    assert result.signer is not None


def test_a_bundle_with_a_key_that_did_not_sign_it_is_invalid() -> None:
    material: dict[str, Json] = {"publicKey": {"rawBytes": base64_of(signed_folder.pem("key-p384"))}}
    forged = bundle(statement(), key=OTHER_KEY, material=material)

    result = check(forged)

    assert (result.status, result.reason) == ("invalid", "the signature is not by the key in the bundle")


def test_untrusted_text_is_displayed_without_control_characters_and_truncated() -> None:
    material: dict[str, Json] = {"publicKey": {"hint": "\x1b[2J\n" + "x" * 10_000}}

    result = check(bundle(statement(), key=OTHER_KEY, material=material))

    assert result.status == "untrusted"
    assert result.reason is not None
    assert result.reason.isprintable()
    assert len(result.reason) < 400
