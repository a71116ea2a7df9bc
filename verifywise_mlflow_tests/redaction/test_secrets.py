"""Texts that contain secrets, and texts that only look like it."""

from __future__ import annotations

import time

import pytest

from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow.redaction.text_redactor import TextRedactor
from verifywise_mlflow_tests.redaction.innocent_values import INNOCENT
from verifywise_mlflow_tests.redaction.made_secrets import Made, made_secrets

REDACTOR = TextRedactor(RedactionSettings())
SECRETS = made_secrets()

EVERYTHING = RedactionSettings.model_validate(
    {"personal_data": {"redact": ["email", "phone", "iban", "card", "ip_address"], "patterns": {"odd": "(x+x+)+y"}}}
)


def redacted_text(key: str, text: str) -> str:
    redacted = REDACTOR.redact(REDACTOR.scope(key), text)
    return text if redacted is None else redacted.text


def test_the_tables_have_at_least_sixty_cases() -> None:
    assert len(SECRETS) >= 60
    assert len(INNOCENT) >= 60


@pytest.mark.parametrize("made", SECRETS, ids=lambda made: made.name)
def test_a_secret_is_redacted_and_the_rest_stays(made: Made) -> None:
    result = redacted_text(made.key, made.text)

    before, _, after = made.text.partition(made.secret)
    assert made.secret not in result
    assert "[redacted: " in result
    assert result.startswith(before)
    assert result.endswith(after)


@pytest.mark.parametrize(("key", "value"), INNOCENT, ids=[f"{key}-{n}" for n, (key, _) in enumerate(INNOCENT)])
def test_a_value_that_only_looks_like_a_secret_stays(key: str, value: str) -> None:
    assert redacted_text(key, value) == value


def test_positions_are_correct_in_text_outside_ascii() -> None:
    token = next(made.secret for made in SECRETS if made.name == "github token")

    assert (
        redacted_text("note", f"Schlüssel → \ud800\x00 {token} …") == "Schlüssel → \ud800\x00 [redacted: github pat] …"
    )


def test_a_placeholder_is_not_redacted_again() -> None:
    once = [redacted_text(made.key, made.text) for made in SECRETS]

    assert [redacted_text(made.key, text) for made, text in zip(SECRETS, once, strict=True)] == once


@pytest.mark.parametrize(
    "piece",
    ["aa=", "token=", "://a:", "'aa':\"", "?sig=", ";password=", "--password a ", "a@", "-", " ", "\\", "+1 2", "xx"],
)
def test_a_million_hostile_characters_take_seconds_at_most(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    redactor = TextRedactor(EVERYTHING)
    began = time.process_time()

    redactor.redact(redactor.scope("note"), text)

    assert time.process_time() - began < 10
