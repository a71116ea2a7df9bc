"""The tables of secret and harmless forms, with the means to redact them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow.redaction.text_redactor import TextRedactor
from verifywise_mlflow_tests.redaction.fake_secrets import DIGITS, HEX, base64_of, random_text
from verifywise_mlflow_tests.redaction.harmless_values import HARMLESS_VALUES

_DIRECTORY = Path(__file__).parent
_MARKED = re.compile("«(.*?)»", re.DOTALL)
_RANDOM = re.compile(r"\{(word|hex|digits|base64):([0-9]+)\}")
_REDACTOR = TextRedactor(RedactionSettings())


@dataclass(frozen=True, slots=True)
class SecretForm:
    """A text in which a secret appears."""

    text: str
    secrets: tuple[str, ...]
    """The parts that must be removed."""
    seen_in: str
    key: str = "note"
    is_known_miss: bool = False


def redacted_text(key: str, text: str) -> str:
    """Return the text as it is stored under a key."""
    redacted = _REDACTOR.redact(_REDACTOR.scope(key), text)
    return text if redacted is None else redacted.text


def secret_forms() -> list[SecretForm]:
    """Return every form of ``secret_forms.yaml``, with new random secrets."""
    sections = yaml.safe_load((_DIRECTORY / "secret_forms.yaml").read_text(encoding="utf-8"))
    return [
        _parse_form(form, section["seen_in"], is_known_miss=section.get("missed", False))
        for section in sections
        for form in section["forms"]
    ]


def harmless_forms() -> list[tuple[str, str]]:
    """Return every key and value that must stay."""
    sections = yaml.safe_load((_DIRECTORY / "harmless_forms.yaml").read_text(encoding="utf-8"))
    forms = [form for section in sections for form in section["forms"]]
    pairs = [("note", form) if isinstance(form, str) else (form["key"], str(form["text"])) for form in forms]
    return [*HARMLESS_VALUES, *pairs]


def is_redacted(form: SecretForm) -> bool:
    """Return whether all secrets of a form were removed."""
    result = redacted_text(form.key, form.text)
    return bool(form.secrets) and all(secret not in result for secret in form.secrets)


def _parse_form(form: str | dict[str, str], seen_in: str, *, is_known_miss: bool) -> SecretForm:
    template, key = (form, "note") if isinstance(form, str) else (str(form["text"]), form["key"])
    secrets: list[str] = []

    def take_secret(match: re.Match[str]) -> str:
        secrets.append(_RANDOM.sub(_random_part, match[1]))
        return secrets[-1]

    return SecretForm(_MARKED.sub(take_secret, template), tuple(secrets), seen_in, key, is_known_miss)


def _random_part(match: re.Match[str]) -> str:
    length = int(match[2])
    match match[1]:
        case "hex":
            return random_text(length, HEX)
        case "digits":
            return random_text(length, DIGITS)
        case "base64":
            return base64_of(length)
        case _:
            return random_text(length)
