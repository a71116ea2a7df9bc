"""Credentials within URIs and connection strings: ``://user:password@``, ``?sig=…``, ``scott/X@//db``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from verifywise_mlflow.redaction.secret_key_names import secret_kind_of_key
from verifywise_mlflow.redaction.secret_values import is_secret_value, looks_generated
from verifywise_mlflow.redaction.spans import Span

_USER_AND_PASSWORD = re.compile(r"://[^/\s:@?#\"'<>]{0,256}:([^/\s\"'<>]{1,1024})@(?!sha256:)")
_PASSWORD_WITH_SLASH = re.compile(
    r"://[^/\s:@?#\"'<>]{1,256}:(?![0-9]{1,5}/)([^\s\"'<>@?]{1,1024}+)@(?=[\w.-]{1,253}(?::[0-9]{1,5})?(?:[/?\s\"']|$))"
)
_ESCAPED_USER_AND_PASSWORD = re.compile(r"%3[aA]%2[fF]%2[fF][^\s/@:%]{0,256}%3[aA]((?:(?!%40)[^\s/@:]){1,1024})%40")
_USER_WITHOUT_PASSWORD = re.compile(r"(?i)\b(?:https?|git\+https?)://([\w.~-]{20,512})@", re.ASCII)
_CONDA_TOKEN = re.compile(r"(?i)https?://[^\s/\"'<>]{1,253}/t/([\w.~-]{8,512})(?=/|[\s\"']|$)", re.ASCII)
_TEAMS_WEBHOOK = re.compile(r"(?i)\.webhook\.office\.com/webhookb?2?/[\w@-]{36,120}/IncomingWebhook/([\w/-]{32,200})")
_IN_QUERY = re.compile(
    r"(?i)[?&;#](sig|signature|x-amz-signature|x-amz-security-token|x-amz-credential|x-goog-signature|token|jwt|auth|"
    r"access_token|auth_token|refresh_token|id_token|private_token|job_token|api_?key|apikey|key|code|"
    r"subscription-key|password|passwd|pwd|secret|client_secret)=([^&#\s\"'<>;\[]{4,})"
)
_SIGNATURES = ("sig", "signature")
_GENERATED_ONLY = frozenset(("key", "code", "auth"))
"""Query parameters that usually contain no secret. A value is redacted only if it is long and looks generated."""

_IN_CONNECTION_STRING = re.compile(
    r"(?i)(?:^|[;\"'\s])(password|pwd|account ?key|shared ?access ?key|shared ?access ?signature|access ?key|"
    r"client ?secret)[ ]?=[ ]?(?:\{([^\r\n]{1,1024}?)\}(?=;|$)|"
    r"\"([^\"\r\n]{1,4096}+)\"|'([^'\r\n]{1,4096}+)'|([^;\"'\r\n ][^;\"'\r\n]{1,4096}+))"
)
_ORACLE = re.compile(
    r"(?<![\w/.:@])[A-Za-z][\w$#]{0,127}/([^\s/@\"']{1,128}|\"[^\"\s]{1,128}\")@"
    r"(?=//|\(DESCRIPTION|[\w.-]{1,253}(?::[0-9]{1,5})?/[\w.]{1,128}(?:\s|[\"']|$))"
)
_ORACLE_JDBC = re.compile(r"(?i)jdbc:oracle:\w{2,8}:[\w$#]{1,128}/([^\s/@\"']{1,128}|\"[^\"\s]{1,128}\")@")


def find_uri_credentials(text: str) -> Iterator[Span]:
    """Yield passwords, tokens and signatures within URIs and connection strings."""
    if "://" in text or "%40" in text:
        yield from _in_uris(text)
    if "=" in text:
        yield from _in_queries(text)
    if "@" in text and "/" in text:
        for pattern in (_ORACLE, _ORACLE_JDBC):
            for match in pattern.finditer(text):
                if is_secret_value("password", match[1]):
                    yield _span(match, 1, "password")


def _in_uris(text: str) -> Iterator[Span]:
    # Most URIs are locations without credentials, so a substring decides first.
    for sign, pattern in (("@", _USER_AND_PASSWORD), ("@", _PASSWORD_WITH_SLASH), ("%40", _ESCAPED_USER_AND_PASSWORD)):
        if sign in text:
            for match in pattern.finditer(text):
                if is_secret_value("password", match[1]):
                    yield _span(match, 1, "password")
    for sign, pattern in (("@", _USER_WITHOUT_PASSWORD), ("/t/", _CONDA_TOKEN)):
        if sign in text:
            for match in pattern.finditer(text):
                if looks_generated(match[1]):
                    yield _span(match, 1, "token")
    if ".webhook." in text:
        for match in _TEAMS_WEBHOOK.finditer(text):
            yield _span(match, 1, "webhook")


def _in_queries(text: str) -> Iterator[Span]:
    for match in _IN_QUERY.finditer(text):
        name = match[1].lower()
        kind = secret_kind_of_key(name)
        if name.endswith(_SIGNATURES):
            yield _span(match, 2, "signature")
        elif name in _GENERATED_ONLY or name == "x-amz-credential":
            if len(match[2]) >= 20 and looks_generated(match[2]):
                yield _span(match, 2, "key")
        elif kind and is_secret_value(kind, match[2]):
            yield _span(match, 2, kind)
    if ";" in text:
        for match in _IN_CONNECTION_STRING.finditer(text):
            kind = "password" if match[1].lower() in ("password", "pwd") else "key"
            group = match.lastindex or 2
            if is_secret_value("password", match[group]):
                yield _span(match, group, kind)


def _span(match: re.Match[str], group: int, kind: str) -> Span:
    return Span(match.start(group), match.end(group), "secret", kind)
