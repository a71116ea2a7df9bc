"""Credential echo: text that quotes our credentials is detected, other text is not."""

from __future__ import annotations

import base64
from html import escape
from urllib.parse import quote

import pytest

from verifywise_mlflow.http.credential_echo import echoes_credentials

SECRET = "tok<en>&/0123456789abcdef"
PAIR = base64.b64encode(f"ada:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    "sent_value", [f"Bearer {SECRET}", SECRET, f"Basic {PAIR}"], ids=["bearer", "gateway", "basic"]
)
@pytest.mark.parametrize(
    "quoted",
    [SECRET, quote(SECRET, safe=""), escape(SECRET), SECRET[:14], SECRET[-12:]],
    ids=["raw", "URL-escaped", "HTML-escaped", "its beginning", "its end"],
)
def test_a_quoted_secret_is_detected(sent_value: str, quoted: str) -> None:
    assert echoes_credentials(f"invalid credentials: {quoted!r}", {"Authorization": sent_value})


def test_a_quoted_basic_auth_header_is_detected() -> None:
    assert echoes_credentials(f"Basic {PAIR} is not accepted", {"Authorization": f"Basic {PAIR}"})


def test_other_text_is_not_withheld() -> None:
    sent_headers = {"Authorization": f"Basic {PAIR}", "X-Key": SECRET, "X-Empty": ""}

    assert not echoes_credentials("Basic authentication: Bearer token of user ada is not accepted", sent_headers)
