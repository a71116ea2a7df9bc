"""Personal data that can be recognized by its format, for tenants that must not store it.

Names of people have no format. A tenant that must not store such names denies the keys whose values contain them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from verifywise_mlflow.redaction.re2_patterns import compile_pattern
from verifywise_mlflow.redaction.spans import Span


def _is_iban(text: str) -> bool:
    """Return whether the check digits of ISO 13616 are correct."""
    plain = text.replace(" ", "").upper()
    digits = "".join(str(int(character, 36)) for character in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(digits) % 97 == 1


def _is_phone(text: str) -> bool:
    return 8 <= sum(character.isdigit() for character in text) <= 15  # E.164


def _is_card(text: str) -> bool:
    """Return whether the check digit of ISO/IEC 7812 is correct (Luhn)."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _always(_: str) -> bool:
    return True


_KINDS: Mapping[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "email": (
        re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"),
        _always,
    ),
    "phone": (re.compile(r"(?<![\w+])\+[0-9](?:[ ().\-/]{0,2}[0-9]){7,14}(?!\w)", re.ASCII), _is_phone),
    "iban": (
        re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"),
        _is_iban,
    ),
    "card": (re.compile(r"(?<![\w.-])[3-6][0-9]{3}(?:[ -]?[0-9]{2,6}){2,5}(?![\w.-])", re.ASCII), _is_card),
    "ip_address": (
        re.compile(
            r"(?<![\w.])(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?![\w.])"
        ),
        _always,
    ),
}

PERSONAL_DATA_KINDS: Final[tuple[str, ...]] = tuple(_KINDS)


def find_personal_data(text: str, kinds: Iterable[str], patterns: Mapping[str, str]) -> Iterator[Span]:
    """Yield the personal data of the given kinds in a text, and the matches of the tenant's own patterns."""
    for kind in kinds:
        pattern, is_valid = _KINDS[kind]
        for match in pattern.finditer(text):
            if is_valid(match[0]):
                yield Span(match.start(), match.end(), "personal data", kind.replace("_", " "))
    for name, expression in patterns.items():
        for start, end in compile_pattern(expression).spans(text):
            yield Span(start, end, "personal data", name.replace("_", " "))
