"""Tokens in the formats of several hundred vendors, recognized by MongoDB's Kingfisher.

Kingfisher's scanner works in memory. Kingfisher's classes that ask vendors whether a token is active are separate, and
nothing here imports them. The rules are compiled once, which takes some seconds, and cached in the user's cache folder
or in ``KF_RULE_CACHE_DIR``. They are loaded only for a text that might contain a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from threading import Lock
from typing import TYPE_CHECKING

from verifywise_mlflow.common.store_schemes import OBJECT_STORE_SCHEMES
from verifywise_mlflow.redaction.spans import Span

if TYPE_CHECKING:
    from kingfisher_sdk import Scanner

SCANNER_RELEASE = f"kingfisher-secret-scanner {version('kingfisher-secret-scanner')}"
"""The scanner and its version; another release may recognize more tokens."""

_LONG_WORD = re.compile(r"[^\s/\\,;]{16,}")
"""A word that may be a token. No token is shorter. Paths consist of many shorter words."""

FILE_NAMES = frozenset(
    (
        *("requirements.txt", "registered_model_meta", "input_example.json", "serving_input_example.json"),
        *("python_model.pkl", "model.safetensors", "tokenizer_config.json", "special_tokens_map.json"),
        *("generation_config.json", "confusion_matrix.png", "feature_importance.png"),
        *("training_confusion_matrix.png", "training_precision_recall_curve.png", "training_roc_curve.png"),
    )
)
"""Names that MLflow and model libraries give to files of many models. Names below 16 characters need no entry."""

_BUCKET = (
    rf"(?:{'|'.join(OBJECT_STORE_SCHEMES)})"
    r"://[a-z0-9][a-z0-9.-]{1,62}(?:@[a-z0-9]{3,24}\.(?:dfs|blob)\.core\.windows\.net)?"
)
_MLFLOW_ID = re.compile(
    rf"(?:(?:models|runs|mlflow-artifacts):|{_BUCKET})(?:/+(?:[^\s/\\,;]{{1,15}}|(?:m-)?[0-9a-f]{{32}}))*/*|[0-9a-f]{{40}}",
    re.ASCII,
)
"""Matches texts that are not tokens: a Git commit, and a location that MLflow wrote, also in a bucket, with the id of a
run or logged model.

Many listings contain no other long word, and loading the scanner takes a process 0.3 s.
"""

_NUL_TO_SPACE = {0: " "}

_UNPAIRED = re.compile(
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
"""Secrets that Kingfisher reports only in pairs: a key's id with its secret, or a client's secret with its id."""

_UNPAIRED_PREFIXES = ("AKIA", "ASIA", "GOCSPX-", "ya29.", "Q~")

_WHOLE_URI = re.compile(r"connection|uri|url|dsn|webhook")
"""Rules that report a whole URI as the secret."""

_load_lock = Lock()


def find_vendor_tokens(text: str) -> Iterator[Span]:
    """Yield the vendor tokens in a text."""
    if all(word[0] in FILE_NAMES for word in _LONG_WORD.finditer(text)) or _MLFLOW_ID.fullmatch(text):
        return
    if any(prefix in text for prefix in _UNPAIRED_PREFIXES):
        for match in _UNPAIRED.finditer(text):
            yield Span(match.start(), match.end(), "secret", str(match.lastgroup).replace("_", " "))
    # One byte per character, so that positions in the bytes are positions in the text; every token is ASCII.
    ascii_bytes = text.translate(_NUL_TO_SPACE).encode("ascii", "replace")
    for finding in load_scanner().scan(ascii_bytes):
        if finding.visible:
            location = finding.location
            yield Span(location["start_offset"], location["end_offset"], "secret", _kind(finding.rule_id))


def covers_whole_uri(span: Span) -> bool:
    """Return whether the span covers a whole URI. If the password in the URI is also found, its span is enough."""
    return bool(_WHOLE_URI.search(span.kind))


def load_scanner() -> Scanner:
    """Return the scanner of this process. The first call loads its rules."""
    with _load_lock:
        return _scanner()


@cache
def _scanner() -> Scanner:
    from kingfisher_sdk import Scanner

    return Scanner()


@cache
def _kind(rule_id: str) -> str:
    return re.split(r"[./]", rule_id)[-1].replace("-", " ").replace("_", " ")
