"""Tokens that can be told by their looks, as vendors shape them: MongoDB's Kingfisher knows some hundreds of kinds.

Its scanner works in memory. What it can ask vendors, to see whether a token is alive, stands in other classes of it,
which nothing here imports. The rules are compiled once, in some seconds, and kept in the user's cache folder, or where
``KF_RULE_CACHE_DIR`` says; so they are loaded only for a text that might hold a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from threading import Lock

from kingfisher_sdk import Scanner

from verifywise_mlflow.redaction.spans import Span

CATALOGUE = f"kingfisher-secret-scanner {version('kingfisher-secret-scanner')}"
"""What knows the tokens; another release of it may know more."""

_LONG_WORD = re.compile(r"[^\s/\\,;]{16}")
"""No token is shorter, whatever surrounds it. Paths are of many short words."""

_TO_BLANK = {0: " "}

_SCREENED = re.compile(
    "|".join(
        (
            r"(?P<aws_access_key_id>(?<![A-Za-z0-9/+])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9/+]))",
            r"(?P<google_oauth_client_secret>\bGOCSPX-[\w-]{28}(?![\w-]))",
            r"(?P<google_oauth_token>\bya29\.[\w-]{30,2048})",
            r"(?P<azure_client_secret>(?<![\w.~-])[\w.~-]{3}[0-9]Q~[\w.~-]{31,34}(?![\w.~-]))",
        )
    ),
    re.ASCII,
)
"""Kingfisher reports these only in company: a key's id beside its secret, a client's secret beside its id."""

_SCREENED_SIGNS = ("AKIA", "ASIA", "GOCSPX-", "ya29.", "Q~")

_WHOLE_ADDRESS = re.compile(r"connection|uri|url|dsn|webhook")
"""Rules that take an address as a whole for the secret."""

_one_load = Lock()


def vendor_tokens(text: str) -> Iterator[Span]:
    """Yield the tokens in a text."""
    if not _LONG_WORD.search(text):
        return
    if any(sign in text for sign in _SCREENED_SIGNS):
        for match in _SCREENED.finditer(text):
            yield Span(match.start(), match.end(), "secret", str(match.lastgroup).replace("_", " "))
    # One byte a character, so that positions are those of the text; every token is ASCII.
    plain = text.translate(_TO_BLANK).encode("ascii", "replace")
    for finding in _loaded().scan(plain):
        if finding.visible:
            place = finding.location
            yield Span(place["start_offset"], place["end_offset"], "secret", _words(finding.rule_id))


def is_of_whole_address(span: Span) -> bool:
    """Whether a rule for whole addresses found it: where its password alone is known, that is enough."""
    return bool(_WHOLE_ADDRESS.search(span.kind))


def _loaded() -> Scanner:
    with _one_load:
        return _scanner()


@cache
def _scanner() -> Scanner:
    return Scanner()


@cache
def _words(rule_id: str) -> str:
    return re.split(r"[./]", rule_id)[-1].replace("-", " ").replace("_", " ")
