"""Which texts hold secrets, and which only look like it."""

from __future__ import annotations

import time

import pytest

from verifywise_mlflow.redaction.settings import Minimisation
from verifywise_mlflow.redaction.text_redactor import Redactor
from verifywise_mlflow_tests.redaction.innocent_values import INNOCENT
from verifywise_mlflow_tests.redaction.made_secrets import Made, made_secrets

REDACTOR = Redactor(Minimisation())
SECRETS = made_secrets()

EVERYTHING = Minimisation.model_validate(
    {"personal_data": {"redact": ["email", "phone", "iban", "card", "ip_address"], "patterns": {"odd": "(x+x+)+y"}}}
)


def left_of(key: str, text: str) -> str:
    taken = REDACTOR.value(REDACTOR.scope(key), text)
    return text if taken is None else taken.text


def test_the_tables_are_long_enough_to_tell_something() -> None:
    assert len(SECRETS) >= 60
    assert len(INNOCENT) >= 60


@pytest.mark.parametrize("made", SECRETS, ids=lambda made: made.name)
def test_a_secret_is_taken_out_and_the_rest_stays(made: Made) -> None:
    left = left_of(made.key, made.text)

    before, _, after = made.text.partition(made.secret)
    assert made.secret not in left
    assert "[redacted: " in left
    assert left.startswith(before)
    assert left.endswith(after)


@pytest.mark.parametrize(("key", "value"), INNOCENT, ids=[f"{key}-{n}" for n, (key, _) in enumerate(INNOCENT)])
def test_what_only_looks_like_a_secret_stays_as_it_is(key: str, value: str) -> None:
    assert left_of(key, value) == value


def test_a_secret_among_letters_that_are_not_ascii_is_found_where_it_is() -> None:
    token = next(made.secret for made in SECRETS if made.name == "github token")

    assert left_of("note", f"Schlüssel → \ud800\x00 {token} …") == "Schlüssel → \ud800\x00 [redacted: github pat] …"


def test_what_stands_in_place_of_a_secret_is_no_secret_itself() -> None:
    once = [left_of(made.key, made.text) for made in SECRETS]

    assert [left_of(made.key, text) for made, text in zip(SECRETS, once, strict=True)] == once


@pytest.mark.parametrize(
    "piece",
    ["aa=", "token=", "://a:", "'aa':\"", "?sig=", ";password=", "--password a ", "a@", "-", " ", "\\", "+1 2", "xx"],
)
def test_a_million_characters_made_to_keep_us_busy_take_seconds_at_most(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    redactor = Redactor(EVERYTHING)
    began = time.process_time()

    redactor.value(redactor.scope("note"), text)

    assert time.process_time() - began < 10
