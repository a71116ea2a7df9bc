"""Secrets that are recognized by their context: in URIs, settings, command lines, headers, SQL and key files.

Each expression takes linear time: every repetition is bounded or possessive, and ends where the next part begins.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from verifywise_mlflow.redaction.assigned_values import find_assigned_secrets
from verifywise_mlflow.redaction.command_lines import find_secrets_in_commands
from verifywise_mlflow.redaction.secret_values import is_secret_value, looks_generated, looks_like_a_password
from verifywise_mlflow.redaction.spans import Span
from verifywise_mlflow.redaction.uri_credentials import find_uri_credentials

_ANNOUNCING_LETTERS = (
    *("pass", "pwd", "pw", "secret", "cred", "key", "token", "auth", "pat", "jwt", "bearer", "wort", "cookie"),
    *("session", "login", "identified", "contrase", "senha", "haslo", "parola"),
)
"""Each ASCII key that announces a secret contains one of these sequences of letters."""

_ANY_ANNOUNCING_LETTERS = re.compile("|".join(_ANNOUNCING_LETTERS))
"""The expression for lower-case text. It is ten times as fast as the next expression, which must ignore case."""

_ANNOUNCING_WORD = re.compile(
    "(?i)" + "|".join(_ANNOUNCING_LETTERS).replace("|pat|", "|(?<![a-z])pat(?![a-z])|") + r"|[^\x00-\x7f]"
)
"""A cheap test that excludes most texts."""

_IN_HEADER = re.compile(
    r"(?i)\b(?:bearer|(?:proxy-)?authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:basic|token|apikey|api-key|key|"
    r"splunk|genie[ -]?key|bot|negotiate|digest)|basic)[ \t]{1,4}([\w.~+/=-]{8,})",
    re.ASCII,
)
_COOKIE = re.compile(
    r"(?i)(?<![\w-])(?:\w{0,40}sess(?:ion)?[\w.-]{0,20}|connect\.sid|phpsessid|csrf_?token|xsrf-token|remember_token|"
    r"_xsrf|sid)=([\w.~%+/=:-]{16,4096})",
    re.ASCII,
)
_ENCODED_CREDENTIAL = re.compile(r"(?i)[\"']?_?auth[\"']?[ ]?[:=][ ]?[\"']?([A-Za-z0-9+/]{8,}+={0,2})(?![\w+/=])")
"""``"auth": "dXNlcjpwYXNz"`` in Docker's settings, ``_auth=…`` in npm's."""

_IN_SQL = re.compile(
    r"(?i)\b(?:identified\s{1,8}(?:with\s{1,8}\w{1,64}\s{1,8})?(?:by|as)(?:\s{1,8}password)?|"
    r"(?<![\w.])(?:encrypted\s{1,8})?password|secret|secret_key|api_key)\s{1,8}[(]?(?:'((?:[^'\r\n]|''){1,1024})'|\"([^\"\r\n]{1,1024})\")"
)
_IDENTIFIED_BY = re.compile(r"(?i)\bidentified\s{1,8}by\s{1,8}(?![\"'])([^\s;\"']{4,256})")
_PASSWORD_FUNCTION = re.compile(r"\bPASSWORD\s{0,4}\(\s{0,4}'([^'\r\n]{1,1024})'")
_AUTH_TUPLE = re.compile(
    r"(?:\b(?:HTTP)?(?:Basic|Digest|Proxy)_?[Aa]uth(?:entication)?|\bauth|\bbasic_?auth|\bbasicAuth|\bhttp_auth|\.login|"
    r"\bPlainAuth(?=\(\"\"))\s{0,4}=?\s{0,4}[(\[](?:\"\",\s)?\s{0,8}[rb]?([\"'])[^\"'\r\n]{0,256}\1\s{0,4},\s{0,8}[rb]?([\"'])([^\"'\r\n]{1,1024})\2"
)
_LOGIN_LINE = re.compile(
    r"(?m)^(?:[\w.*-]{1,253}:(?:[0-9]{1,5}|\*):[\w.*-]{1,128}:[\w.*-]{1,128}:([^\s:]{4,1024})|"
    r"[\w.-]{1,64}:(\{SHA\}\S{20,100}|\$(?:apr1|2[aby]|[156]|y)\$\S{10,200}))[ \t\r]{0,4}$"
)
"""A line of ``.pgpass``, and of ``.htpasswd`` or ``/etc/shadow``."""

_JWK_FIELD = re.compile(r"[\"'](?:d|p|q|dp|dq|qi|k)[\"']\s{0,4}:\s{0,4}[\"']([\w-]{16,2048})[\"']", re.ASCII)

_TRUNCATED_PRIVATE_KEY = re.compile(
    r"(?s)-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----).){32,20000}"
    r"(?:-----END [A-Z0-9 ]{1,60}-----)?"
)
"""A private key without its end, since MLflow truncates long params. The token scanner misses such a key."""

_ENCODED_PRIVATE_KEY = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/\s\\]{40,40000}={0,2}")
"""``-----BEGIN`` in Base64, as in kubeconfig files."""

_PREFIXED_TOKEN = re.compile(r"(?<![\w.-])(?:hv[sbr]\.[\w-]{24,512}|AGE-SECRET-KEY-1[0-9A-Z]{40,80})", re.ASCII)
"""Tokens of Vault and keys of age. The token scanner also requires an entropy that one in eighty Vault tokens lacks."""

_PUTTY_KEY = re.compile(r"Private-Lines: [0-9]{1,4}\s{1,2}((?:[A-Za-z0-9+/=]{4,128}+(?:\r?\n|$))+)")


def find_secrets(text: str) -> Iterator[Span]:
    """Yield the secrets in a text, regardless of the text's key."""
    yield from find_uri_credentials(text)
    yield from find_secrets_in_commands(text)
    if _announces_secret(text):
        yield from find_assigned_secrets(text)
        yield from _in_headers(text)
        yield from _in_sql_and_code(text)
    yield from _in_key_files(text)


def _announces_secret(text: str) -> bool:
    if text.isascii() and not _ANY_ANNOUNCING_LETTERS.search(text.lower()):
        return False
    return _ANNOUNCING_WORD.search(text) is not None


def _in_headers(text: str) -> Iterator[Span]:
    for match in _IN_HEADER.finditer(text):
        if looks_generated(match[1]) or _is_basic_credential(match[1]):
            yield _span(match, 1, "token")
    for match in _COOKIE.finditer(text):
        if looks_generated(match[1]):
            yield _span(match, 1, "token")
    for match in _ENCODED_CREDENTIAL.finditer(text):
        if _is_basic_credential(match[1]):
            yield _span(match, 1, "token")


def _in_sql_and_code(text: str) -> Iterator[Span]:
    for match in _IDENTIFIED_BY.finditer(text):
        if looks_like_a_password(match[1]) and is_secret_value("password", match[1]):  # rows identified by their key
            yield _span(match, 1, "password")
    for pattern in (_IN_SQL, _PASSWORD_FUNCTION, _AUTH_TUPLE):
        for match in pattern.finditer(text):
            group = match.lastindex or 1
            if is_secret_value("password", match[group]):
                yield _span(match, group, "password")


def _in_key_files(text: str) -> Iterator[Span]:
    if "-----BEGIN" in text:
        for match in _TRUNCATED_PRIVATE_KEY.finditer(text):
            yield _span(match, 0, "private key")
    if "LS0tLS1CRUdJTi" in text:
        for match in _ENCODED_PRIVATE_KEY.finditer(text):
            if b"PRIVATE" in _decoded_start(match[0]):
                yield _span(match, 0, "private key")
    if "Private-Lines:" in text:
        for match in _PUTTY_KEY.finditer(text):
            yield _span(match, 1, "private key")
    for match in _PREFIXED_TOKEN.finditer(text):
        yield _span(match, 0, "token")
    if '"kty"' in text or "'kty'" in text:
        for match in _JWK_FIELD.finditer(text):
            yield _span(match, 1, "private key")
    if text.count(":") >= 4 or ":$" in text or ":{SHA}" in text:
        for match in _LOGIN_LINE.finditer(text):
            if is_secret_value("password", match[match.lastindex or 1]):
                yield _span(match, match.lastindex or 1, "password")


def _decoded_start(encoded: str) -> bytes:
    beginning = re.sub(r"[\s\\]", "", encoded)[:80]
    return base64.b64decode(beginning[: len(beginning) // 4 * 4])  # b64decode needs whole groups of four


def _span(match: re.Match[str], group: int, kind: str) -> Span:
    start = match.start(group)
    return Span(start, start + len(match[group].rstrip()), "secret", kind)


def _is_basic_credential(word: str) -> bool:
    """Return whether a word is ``user:password`` in Base64. One such word in fifty has no digit and no padding."""
    try:
        decoded = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        return False
    return b":" in decoded and decoded.isascii() and decoded.decode().isprintable()
