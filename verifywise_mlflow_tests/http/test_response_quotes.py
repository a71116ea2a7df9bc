"""Quotes of responses in messages are short, escaped, and redacted before they are cut."""

from __future__ import annotations

from verifywise_mlflow.http.response import Response
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
from verifywise_mlflow.redaction.settings import RedactionSettings

REDACT = EntityRedactor(RedactionSettings()).message


def test_a_secret_across_the_end_of_a_quote_is_redacted() -> None:
    text = "The store could not be opened, and none of the requested objects was read from it in this long text " + (
        "so on: postgresql://mlflow:" + "s3cr3t" * 40 + "@db/mlflow"
    )
    response = Response("runs/get", 500, {}, text.encode(), redact=REDACT)

    assert "s3cr3t" not in response.quote(response.body)
    assert "[redacted: password]" in response.quote(response.body)


def test_a_quote_without_secrets_is_short_and_escaped() -> None:
    quoted = Response("runs/get", 500, {}, b"", redact=REDACT).quote("a\x1b[31m " * 200)

    assert quoted.isascii()
    assert "\x1b" not in quoted
    assert len(quoted) < 500
