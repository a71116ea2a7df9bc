"""Redacts one text according to a tenant's settings, and reports the kinds of secrets and data that it redacted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from verifywise_mlflow.common.globs import matches_any
from verifywise_mlflow.redaction.personal_data import find_personal_data
from verifywise_mlflow.redaction.secret_key_names import SecretKind, secret_kind_of_key
from verifywise_mlflow.redaction.secret_patterns import find_secrets
from verifywise_mlflow.redaction.secret_values import is_secret_value
from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow.redaction.spans import Span, apply_redactions, without_placeholders
from verifywise_mlflow.redaction.token_scanner import covers_whole_uri, find_vendor_tokens

MIN_SCANNED_LENGTH: Final = 6
"""The minimum number of characters of a text that is scanned. Shorter texts, like most params, contain no token and no
address."""

MAX_CACHED_LENGTH: Final = 512
"""The maximum number of characters of a text that is cached. Params, tags and paths repeat in many runs; long texts
rarely repeat."""

CACHE_SIZE: Final = 20_000
"""The number of texts that are cached for the duration of a sync. They usually take a few megabytes."""

_NUMERIC_CHARACTERS = frozenset("0123456789.,+-eE[]() ")
"""A text that consists only of these characters is a number or a list of numbers. It is not a secret, but may be
personal data."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A redacted text, and the spans of the original that were replaced."""

    text: str
    spans: tuple[Span, ...] = ()


class ScanScope(NamedTuple):
    """The kinds of secrets and data that a key's values are scanned for. It is a tuple, since cache keys contain it."""

    secrets: bool
    personal_data: bool
    kind_from_key: SecretKind | None
    """The kind of secret that the key itself announces."""


class TextRedactor:
    """Redacts texts according to the settings of one tenant, with a cache of recent results."""

    def __init__(self, settings: RedactionSettings) -> None:
        self._settings = settings
        self._scans_personal_data = bool(settings.personal_data.redact or settings.personal_data.patterns)
        self._cached_scan = lru_cache(maxsize=CACHE_SIZE)(self._scan)
        self.scope = lru_cache(maxsize=CACHE_SIZE)(self._scope)
        """Returns the scope of a key, or of the name of a field."""

    def redact(self, scope: ScanScope, text: str) -> Redacted | None:
        """Return the redacted text; None if there is nothing to redact, as in most texts."""
        if not scope.personal_data:
            if not scope.secrets:
                return None
            if scope.kind_from_key is None and (len(text) < MIN_SCANNED_LENGTH or _NUMERIC_CHARACTERS.issuperset(text)):
                return None
        return self._cached_scan(scope, text) if len(text) <= MAX_CACHED_LENGTH else self._scan(scope, text)

    def _scope(self, key: str) -> ScanScope:
        secrets, personal_data = self._settings.secrets, self._settings.personal_data
        scans_secrets = secrets.redact and not matches_any(secrets.allow, key)
        return ScanScope(
            secrets=scans_secrets,
            personal_data=self._scans_personal_data and not matches_any(personal_data.keep_in, key),
            kind_from_key=secret_kind_of_key(key) if scans_secrets else None,
        )

    def _scan(self, scope: ScanScope, text: str) -> Redacted | None:
        spans = list(without_placeholders(text, self._spans(scope, text)))
        if not spans:
            return None
        redacted, merged = apply_redactions(text, spans)
        return Redacted(redacted, tuple(merged))

    def _spans(self, scope: ScanScope, text: str) -> Iterator[Span]:
        if scope.secrets:
            secrets = list(_secret_spans(text))
            if scope.kind_from_key and not secrets and is_secret_value(scope.kind_from_key, text):
                secrets = [Span(0, len(text), "secret", scope.kind_from_key)]
            yield from secrets
        if scope.personal_data:
            settings = self._settings.personal_data
            yield from find_personal_data(text, settings.redact, settings.patterns)


def _secret_spans(text: str) -> Iterator[Span]:
    from_context = list(find_secrets(text))
    # Vendor tokens come first: of two spans for the same characters, the scanner's span has the more specific kind.
    for token in find_vendor_tokens(text):
        contains_secret = any(other.start >= token.start and other.end <= token.end for other in from_context)
        if not (contains_secret and covers_whole_uri(token)):
            yield token
    yield from from_context
