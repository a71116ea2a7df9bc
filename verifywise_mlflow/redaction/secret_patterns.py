"""Secrets that are recognized by their context: ``://user:password@``, ``?sig=…``, ``Password=…;``, ``--api-key …``.

Each expression takes linear time: every repetition is bounded, and ends where the next part begins.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from verifywise_mlflow.redaction.secret_key_names import is_secret_value, secret_kind_of_key
from verifywise_mlflow.redaction.spans import Span

_USER_AND_PASSWORD = re.compile(r"://[^/\s:@?#\"'<>]{0,256}:([^/\s\"'<>]{1,1024})@(?!sha256:)")
_USER_WITHOUT_PASSWORD = re.compile(r"(?i)\b(?:https?|git\+https?)://([\w.~-]{20,512})@", re.ASCII)
_IN_QUERY = re.compile(
    r"(?i)[?&;](sig|signature|x-amz-signature|x-amz-security-token|x-goog-signature|token|access_token|auth_token|"
    r"refresh_token|id_token|api_?key|subscription-key|password|passwd|pwd|secret|client_secret)=([^&#\s\"'<>;\[]{4,4096})"
)
_IN_HEADER = re.compile(
    r"(?i)\b(?:bearer|authorization:\s{0,4}(?:basic|token))[ \t]{1,4}([\w.~+/=-]{8,8192})", re.ASCII
)
_IN_CONNECTION_STRING = re.compile(
    r"(?i)(?:^|[;\"'\s])(password|pwd|account ?key|shared ?access ?key|shared ?access ?signature|access ?key|"
    r"client ?secret)[ ]?=[ ]?([^;\"'\r\n]{1,4096})"
)
_ASSIGNED_KEY = re.compile(r"(?<![\w.-])-{0,2}([A-Za-z][\w.-]{1,63}) ?=(?!=) ?[\"']?")
_ASSIGNED_VALUE = re.compile(r"[^\s\"'&;,()\[\]{}<>$]{4,8192}")
_CODE_SIGNS = ("(", "[", "{", "<", "$")
"""Characters that follow a name in code: ``password=os.environ["X"]`` assigns no secret."""

_JSON_PAIR = re.compile(r"([\"'])([A-Za-z][\w.-]{1,63})\1\s{0,4}:\s{0,4}([\"'])((?:(?!\3)[^\\\r\n]|\\.){1,8192})\3")
_ESCAPED_JSON_PAIR = re.compile(r"\\\"([A-Za-z][\w.-]{1,63})\\\"\s{0,4}:\s{0,4}\\\"([^\"\\]{1,4096})\\\"")
_YAML_LINE = re.compile(r"(?m)^[ \t]{0,40}(?:- )?([A-Za-z][\w.-]{1,63}):[ \t]{1,4}([^\s\"'{\[]{4,4096})[ \t\r]{0,8}$")
_COMMAND_LINE_OPTION = re.compile(r"(?<!\S)--?([A-Za-z][\w-]{1,63})[ \t]{1,4}([\"']?)([^\s\"'-][^\s\"']{3,4095})")

_TRUNCATED_PRIVATE_KEY = re.compile(
    r"(?s)-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----).){32,20000}"
    r"(?:-----END [A-Z0-9 ]{1,60}-----)?"
)
"""MLflow truncates long params. The token scanner needs the end of a private key, so it misses these."""

_HAS_DIGIT = re.compile(r"[0-9]")
_HAS_LETTER = re.compile(r"[A-Za-z]")


def find_secrets(text: str) -> Iterator[Span]:
    """Yield the secrets in a text, regardless of its key."""
    if "://" in text:
        yield from _in_uris(text)
    if "=" in text:
        yield from _in_assignments(text)
    if ":" in text:
        yield from _in_key_value_pairs(text)
    if "-----BEGIN" in text:
        for match in _TRUNCATED_PRIVATE_KEY.finditer(text):
            yield _span(match, 0, "private key")
    if "-" in text:
        for match in _COMMAND_LINE_OPTION.finditer(text):
            yield from _announced(match[1], match, 3)
    for match in _IN_HEADER.finditer(text):
        if _looks_generated(match[1]) or _is_basic_credential(match[1]):
            yield _span(match, 1, "token")


def _in_uris(text: str) -> Iterator[Span]:
    for match in _USER_AND_PASSWORD.finditer(text):
        if is_secret_value("password", match[1]):
            yield _span(match, 1, "password")
    for match in _USER_WITHOUT_PASSWORD.finditer(text):
        if _looks_generated(match[1]):
            yield _span(match, 1, "token")


def _in_assignments(text: str) -> Iterator[Span]:
    for match in _IN_QUERY.finditer(text):
        if match[1].lower().endswith(("sig", "signature")):
            yield _span(match, 2, "signature")
        else:
            yield from _announced(match[1], match, 2)
    if ";" in text:
        for match in _IN_CONNECTION_STRING.finditer(text):
            kind = "password" if match[1].lower() in ("password", "pwd") else "key"
            if is_secret_value("password", match[2]):
                yield _span(match, 2, kind)
    position = 0  # each character belongs to one value at most, however many keys a text contains
    for match in _ASSIGNED_KEY.finditer(text):
        key_kind = secret_kind_of_key(match[1])
        value = _ASSIGNED_VALUE.match(text, match.end()) if key_kind and match.end() >= position else None
        if key_kind and value:
            position = value.end()
            is_code = text.startswith(_CODE_SIGNS, position) or secret_kind_of_key(value[0])  # secret=client_secret
            if not is_code and is_secret_value(key_kind, value[0]):
                yield _span(value, 0, key_kind)


def _in_key_value_pairs(text: str) -> Iterator[Span]:
    for match in _JSON_PAIR.finditer(text):
        yield from _announced(match[2], match, 4)
    for match in _ESCAPED_JSON_PAIR.finditer(text):
        yield from _announced(match[1], match, 2)
    for match in _YAML_LINE.finditer(text):
        yield from _announced(match[1], match, 2)


def _announced(key: str, match: re.Match[str], group: int) -> Iterator[Span]:
    kind = secret_kind_of_key(key)
    if kind and is_secret_value(kind, match[group]):
        yield _span(match, group, kind)


def _span(match: re.Match[str], group: int, kind: str) -> Span:
    return Span(match.start(group), match.end(group), "secret", kind)


def _looks_generated(word: str) -> bool:
    """Return whether a word looks machine-generated: ``Bearer of-good-news`` contains no token."""
    return len(word) >= 8 and bool(_HAS_LETTER.search(word)) and (bool(_HAS_DIGIT.search(word)) or word.endswith("="))


def _is_basic_credential(word: str) -> bool:
    """Return whether a word is ``user:password`` in Base64. One in fifty of these has no digit and no padding."""
    try:
        return b":" in base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        return False
