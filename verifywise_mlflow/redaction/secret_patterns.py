"""Secrets that the words around them give away: ``://user:password@``, ``?sig=…``, ``Password=…;``, ``--api-key …``.

Each expression reads a text in linear time: what may repeat is bounded, and ends where the next part begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from verifywise_mlflow.redaction.secret_key_names import is_secret, told_by
from verifywise_mlflow.redaction.spans import Span

_USER_AND_PASSWORD = re.compile(r"://[^/\s:@?#\"'<>]{0,256}:([^/\s\"'<>]{1,1024})@(?!sha256:)")
_USER_ALONE = re.compile(r"(?i)\b(?:https?|git\+https?)://([\w.~-]{20,512})@", re.ASCII)
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
_ASSIGNED = re.compile(r"(?<![\w.-])-{0,2}([A-Za-z][\w.-]{1,63}) ?=(?!=) ?[\"']?")
_ASSIGNABLE = re.compile(r"[^\s\"'&;,()\[\]{}<>$]{4,8192}")
_EXPRESSION = ("(", "[", "{", "<", "$")
"""What follows a name in code: ``password=os.environ["X"]`` assigns no secret."""

_QUOTED = re.compile(r"([\"'])([A-Za-z][\w.-]{1,63})\1\s{0,4}:\s{0,4}([\"'])((?:(?!\3)[^\\\r\n]|\\.){1,8192})\3")
_ESCAPED_QUOTED = re.compile(r"\\\"([A-Za-z][\w.-]{1,63})\\\"\s{0,4}:\s{0,4}\\\"([^\"\\]{1,4096})\\\"")
_ON_A_LINE = re.compile(r"(?m)^[ \t]{0,40}(?:- )?([A-Za-z][\w.-]{1,63}):[ \t]{1,4}([^\s\"'{\[]{4,4096})[ \t\r]{0,8}$")
_OPTION = re.compile(r"(?<!\S)--?([A-Za-z][\w-]{1,63})[ \t]{1,4}([\"']?)([^\s\"'-][^\s\"']{3,4095})")

_CUT_KEY = re.compile(
    r"(?s)-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----).){32,20000}"
    r"(?:-----END [A-Z0-9 ]{1,60}-----)?"
)
"""MLflow cuts long params off: of such a key, the catalogue misses the end."""

_HAS_DIGIT = re.compile(r"[0-9]")
_HAS_LETTER = re.compile(r"[A-Za-z]")


def written_secrets(text: str) -> Iterator[Span]:
    """Yield the secrets in a text that is read by itself, whatever its key is."""
    if "://" in text:
        yield from _in_addresses(text)
    if "=" in text:
        yield from _assigned(text)
    if ":" in text:
        yield from _listed(text)
    if "-----BEGIN" in text:
        for match in _CUT_KEY.finditer(text):
            yield _span(match, 0, "private key")
    if "-" in text:
        for match in _OPTION.finditer(text):
            yield from _told(match[1], match, 3)
    for match in _IN_HEADER.finditer(text):
        if _looks_made(match[1]):
            yield _span(match, 1, "token")


def _in_addresses(text: str) -> Iterator[Span]:
    for match in _USER_AND_PASSWORD.finditer(text):
        if is_secret("password", match[1]):
            yield _span(match, 1, "password")
    for match in _USER_ALONE.finditer(text):
        if _looks_made(match[1]):
            yield _span(match, 1, "token")


def _assigned(text: str) -> Iterator[Span]:
    for match in _IN_QUERY.finditer(text):
        if match[1].lower().endswith(("sig", "signature")):
            yield _span(match, 2, "signature")
        else:
            yield from _told(match[1], match, 2)
    if ";" in text:
        for match in _IN_CONNECTION_STRING.finditer(text):
            kind = "password" if match[1].lower() in ("password", "pwd") else "key"
            if is_secret("password", match[2]):
                yield _span(match, 2, kind)
    read = 0  # each character is read as part of one value only, however many keys a text claims to have
    for match in _ASSIGNED.finditer(text):
        telling = told_by(match[1])
        value = _ASSIGNABLE.match(text, match.end()) if telling and match.end() >= read else None
        if telling and value:
            read = value.end()
            is_code = text.startswith(_EXPRESSION, read) or told_by(value[0])  # secret=client_secret
            if not is_code and is_secret(telling, value[0]):
                yield _span(value, 0, telling)


def _listed(text: str) -> Iterator[Span]:
    for match in _QUOTED.finditer(text):
        yield from _told(match[2], match, 4)
    for match in _ESCAPED_QUOTED.finditer(text):
        yield from _told(match[1], match, 2)
    for match in _ON_A_LINE.finditer(text):
        yield from _told(match[1], match, 2)


def _told(key: str, match: re.Match[str], group: int) -> Iterator[Span]:
    telling = told_by(key)
    if telling and is_secret(telling, match[group]):
        yield _span(match, group, telling)


def _span(match: re.Match[str], group: int, kind: str) -> Span:
    return Span(match.start(group), match.end(group), "secret", kind)


def _looks_made(word: str) -> bool:
    """Whether a word is one that a machine made: ``Bearer of-good-news`` holds no token."""
    return len(word) >= 8 and bool(_HAS_LETTER.search(word)) and (bool(_HAS_DIGIT.search(word)) or word.endswith("="))
