"""Credential echo: text that quotes our credentials is detected, other text is not."""

from __future__ import annotations

import base64
import json
from html import escape
from urllib.parse import quote

import pytest

from verifywise_mlflow.http.credential_echo import echoes_credentials

SECRET = "tok<en>&/0123456789abcdef"
PAIR = base64.b64encode(f"ada:{SECRET}".encode()).decode()

ENCODINGS = {
    "raw": SECRET,
    "URL-escaped": quote(SECRET, safe=""),
    "every character URL-escaped": "".join(f"%{ord(character):02x}" for character in SECRET),
    "URL-escaped twice": quote(quote(SECRET, safe=""), safe=""),
    "HTML-escaped": escape(SECRET),
    "as numeric HTML entities": "".join(f"&#{ord(character)};" for character in SECRET),
    "JSON-escaped": "".join(f"\\u{ord(character):04x}" for character in SECRET),
    "in a JSON document": json.dumps({"sent": SECRET}).replace("/", "\\/"),
    "in hex": SECRET.encode().hex(),
    "in hex with colons": SECRET.encode().hex(":").upper(),
    "in Base64": base64.b64encode(SECRET.encode()).decode(),
    "in Base64 after one byte": base64.b64encode(f"x{SECRET}".encode()).decode(),
    "in Base64 after two bytes": base64.b64encode(f"xy{SECRET}".encode()).decode(),
    "in Base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    "in Base64 within JSON within Base64": base64.b64encode(
        json.dumps({"a": base64.b64encode(SECRET.encode()).decode()}).encode()
    ).decode(),
    "its beginning": SECRET[:10],
    "its end": SECRET[-8:],
    "a part in hex": SECRET[5:15].encode().hex()[1:],
    "the beginning of its Base64": base64.b64encode(SECRET.encode()).decode()[:16],
    "the end of its Base64": base64.b64encode(SECRET.encode()).decode()[-18:],
}


@pytest.mark.parametrize(
    "sent_value", [f"Bearer {SECRET}", SECRET, f"Basic {PAIR}"], ids=["bearer", "gateway", "basic"]
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_quoted_secret_is_detected(sent_value: str, encoding: str) -> None:
    assert echoes_credentials(f"invalid credentials: {ENCODINGS[encoding]}", {"Authorization": sent_value})


def test_a_quoted_basic_auth_header_is_detected() -> None:
    assert echoes_credentials(f"Basic {PAIR} is not accepted", {"Authorization": f"Basic {PAIR}"})
    assert echoes_credentials(f"Basic {PAIR[:20]}... is not accepted", {"Authorization": f"Basic {PAIR}"})


def test_the_form_encoded_secret_of_an_oauth2_client_is_detected() -> None:
    header = base64.b64encode(f"us:{quote(SECRET, safe='')}".encode()).decode()

    assert echoes_credentials(f"unknown client {SECRET}", {"Authorization": f"Basic {header}"})


def test_other_text_is_not_withheld() -> None:
    sent_headers = {"Authorization": f"Basic {PAIR}", "X-Key": SECRET, "X-Empty": ""}

    assert not echoes_credentials("Basic authentication: Bearer token of user ada is not accepted", sent_headers)
    assert not echoes_credentials("0123456 run 8c1d3a5e9f7b2c4d6e8f0a1b3c5d7e9f does not exist", sent_headers)


AWS = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE1/20261128/eu-central-1/s3/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    "x-amz-date": "20261128T120000Z",
}


@pytest.mark.parametrize(
    ("text", "is_echo"),
    [
        ("The access key AKIDEXAMPLE1 does not exist", True),
        ("Signature 5d672d79c15b1316… is wrong", True),
        ("the signature does not match", False),
        ("the region eu-central-1 is wrong", False),
        ("the request of 20261128T120000Z has expired", False),
    ],
)
def test_of_an_aws_signature_the_key_and_the_signature_are_secret(text: str, is_echo: bool) -> None:
    assert echoes_credentials(text, AWS) is is_echo
