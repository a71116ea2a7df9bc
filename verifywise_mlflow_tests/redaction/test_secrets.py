"""Texts that contain secrets, and texts that only look like it."""

from __future__ import annotations

import time

import pytest

from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow.redaction.text_redactor import TextRedactor
from verifywise_mlflow_tests.redaction.fake_secrets import FakeSecret, fake_secrets
from verifywise_mlflow_tests.redaction.harmless_values import HARMLESS_VALUES

REDACTOR = TextRedactor(RedactionSettings())
SECRETS = fake_secrets()

ALL_REDACTIONS = RedactionSettings.model_validate(
    {"personal_data": {"redact": ["email", "phone", "iban", "card", "ip_address"], "patterns": {"odd": "(x+x+)+y"}}}
)


def redacted_text(key: str, text: str) -> str:
    redacted = REDACTOR.redact(REDACTOR.scope(key), text)
    return text if redacted is None else redacted.text


def test_the_tables_have_at_least_sixty_cases() -> None:
    assert len(SECRETS) >= 60
    assert len(HARMLESS_VALUES) >= 60


@pytest.mark.parametrize("fake", SECRETS, ids=lambda fake: fake.name)
def test_a_secret_is_redacted_and_the_rest_stays(fake: FakeSecret) -> None:
    result = redacted_text(fake.key, fake.text)

    before, _, after = fake.text.partition(fake.secret)
    assert fake.secret not in result
    assert "[redacted: " in result
    assert result.startswith(before)
    assert result.endswith(after)


@pytest.mark.parametrize(
    ("key", "value"), HARMLESS_VALUES, ids=[f"{key}-{n}" for n, (key, _) in enumerate(HARMLESS_VALUES)]
)
def test_a_value_that_only_looks_like_a_secret_stays(key: str, value: str) -> None:
    assert redacted_text(key, value) == value


def test_positions_are_correct_in_text_outside_ascii() -> None:
    token = next(fake.secret for fake in SECRETS if fake.name == "github token")

    assert (
        redacted_text("note", f"Schlüssel → \ud800\x00 {token} …") == "Schlüssel → \ud800\x00 [redacted: github pat] …"
    )


def test_a_placeholder_is_not_redacted_again() -> None:
    redacted_once = [redacted_text(fake.key, fake.text) for fake in SECRETS]

    assert [redacted_text(fake.key, text) for fake, text in zip(SECRETS, redacted_once, strict=True)] == redacted_once


@pytest.mark.parametrize(
    "piece",
    ["aa=", "token=", "://a:", "'aa':\"", "?sig=", ";password=", "--password a ", "a@", "-", " ", "\\", "+1 2", "xx"],
)
def test_a_million_hostile_characters_take_seconds_at_most(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    redactor = TextRedactor(ALL_REDACTIONS)
    began = time.process_time()

    redactor.redact(redactor.scope("note"), text)

    assert time.process_time() - began < 10
