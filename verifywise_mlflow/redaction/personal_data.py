"""Personal data that can be told by its looks, for tenants that want none of it kept.

Names of people cannot be told so; whoever must not keep them denies the keys that hold them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from verifywise_mlflow.redaction.re2_patterns import compiled
from verifywise_mlflow.redaction.spans import Span


def _is_iban(written: str) -> bool:
    """Whether the check digits of ISO 13616 are right."""
    plain = written.replace(" ", "").upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _is_phone(written: str) -> bool:
    return 8 <= sum(sign.isdigit() for sign in written) <= 15  # E.164


def _is_card(written: str) -> bool:
    """Whether the check digit of ISO/IEC 7812 is right (Luhn)."""
    digits = [int(sign) for sign in written if sign.isdigit()]
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

KINDS: Final[tuple[str, ...]] = tuple(_KINDS)


def personal_data(text: str, kinds: Iterable[str], patterns: Mapping[str, str]) -> Iterator[Span]:
    """Yield the personal data in a text: of the given kinds, and what the tenant's own patterns find."""
    for kind in kinds:
        pattern, is_one = _KINDS[kind]
        for match in pattern.finditer(text):
            if is_one(match[0]):
                yield Span(match.start(), match.end(), "personal data", kind.replace("_", " "))
    for name, written in patterns.items():
        for start, end in compiled(written).spans(text):
            yield Span(start, end, "personal data", name.replace("_", " "))
