"""Detects credential echo: a server that quotes our request must not put our secrets into an error message.

A text is decoded in the usual ways, and each result is searched for parts of the credentials that were sent. The text
may be raw, URL-escaped, HTML-escaped, with the escapes of JSON, in Base64 at any offset, or in hex.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from html import unescape
from urllib.parse import unquote, unquote_plus

WITHHELD = "text withheld because it contains our credentials"

_WINDOW_CHARACTERS = 8
"""This many consecutive characters of a secret count as an echo, since servers truncate quotes."""
_MAX_TEXT = 1_024
"""The number of characters of a text that are searched. A quote is cut from the first 400 bytes."""
_ROUNDS = 2
"""The number of nested encodings that are undone, such as JSON within Base64, or a URL within a URL."""
_MAX_VARIANTS = 64

_PUBLIC_HEADERS = frozenset({"x-amz-date", "x-amz-content-sha256"})
_AWS_SIGNATURE = re.compile(r"AWS4-\S+ Credential=([^/,]+)/[^,]*,.*?Signature=(\S+)")

_JSON_ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'\\/]))")
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/_-]{8,}")
_HEX_RUN = re.compile(r"(?:[0-9A-Fa-f][0-9A-Fa-f][ :]?){6,}")


def echoes_credentials(text: str, auth_headers: Mapping[str, str]) -> bool:
    """Return whether ``text`` echoes one of our credentials or a part of it, in any usual encoding."""
    values = [value for name, value in auth_headers.items() if name.lower() not in _PUBLIC_HEADERS]
    secrets = {secret for value in values for secret in _secrets(value) if secret}
    windows_by_length: dict[int, set[str]] = {}
    for secret in secrets:
        length = min(len(secret), _WINDOW_CHARACTERS)
        windows = windows_by_length.setdefault(length, set())
        windows.update(secret[start : start + length] for start in range(len(secret) - length + 1))
    return any(
        variant[start : start + length] in windows
        for length, windows in windows_by_length.items()
        for variant in _variants(text[:_MAX_TEXT])
        for start in range(len(variant) - length + 1)
    )


def _secrets(value: str) -> Iterator[str]:
    """Yield a header's value without its scheme, and the password inside basic auth, both plain and form-encoded.

    For an AWS signature, yield only the access key and the signature: errors may quote the rest, such as the region.
    """
    scheme, _, token = value.partition(" ")
    if signature := _AWS_SIGNATURE.fullmatch(value):
        yield from signature.groups()
        return
    yield token or scheme
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(token, validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return
        password = pair.partition(":")[2]
        yield password
        yield unquote_plus(password)


def _variants(text: str) -> set[str]:
    """Return a text and its decoded forms."""
    variants = {text}
    newest = variants
    for _ in range(_ROUNDS):
        newest = {decoded for variant in newest for decoded in _decoded(variant)} - variants
        variants |= set(sorted(newest)[: _MAX_VARIANTS - len(variants)])
    return variants


def _decoded(text: str) -> Iterator[str]:
    for decode in (unquote, unquote_plus, unescape, _without_json_escapes):
        yield decode(text)
    yield "\n".join(_from_base64(text))
    yield "\n".join(_from_hex(text))


def _without_json_escapes(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        return chr(int(code, 16)) if code else match[3]

    return _JSON_ESCAPE.sub(character, text)


def _from_base64(text: str) -> Iterator[str]:
    for run in _BASE64_RUN.findall(text):
        standard = run.replace("-", "+").replace("_", "/")
        for offset in range(4):  # the beginning may be cut off
            part = standard[offset:]
            yield base64.b64decode(part[: len(part) // 4 * 4]).decode("utf-8", "replace")


def _from_hex(text: str) -> Iterator[str]:
    for run in _HEX_RUN.findall(text):
        digits = run.replace(" ", "").replace(":", "")
        for part in (digits, digits[1:]):
            yield bytes.fromhex(part[: len(part) // 2 * 2]).decode("utf-8", "replace")
