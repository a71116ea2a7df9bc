"""Takes out of one text what a tenant does not want kept, and says what that was without saying it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from verifywise_mlflow.redaction.globs import matches
from verifywise_mlflow.redaction.personal_data import personal_data
from verifywise_mlflow.redaction.secret_key_names import Telling, is_secret, told_by
from verifywise_mlflow.redaction.secret_patterns import written_secrets
from verifywise_mlflow.redaction.settings import Minimisation
from verifywise_mlflow.redaction.spans import Span, without
from verifywise_mlflow.redaction.token_scanner import is_of_whole_address, vendor_tokens

SHORTEST = 6
"""Characters. In less there is neither a token nor an address, and most params are shorter."""

LONGEST_REMEMBERED = 512
"""Characters. Params, tags and paths are the same in run after run; long texts seldom are."""

REMEMBERED = 20_000
"""Texts, for as long as a sync lasts: some megabytes at most."""

_OF_NUMBERS = frozenset("0123456789.,+-eE[]() ")
"""A number, or a list of such: no secret. Personal data may be one."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A text as it may be kept, and what was taken out of it."""

    text: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked for in the values of a key."""

    secrets: bool
    personal_data: bool
    telling: Telling | None
    """What the key itself says that its values are."""


class Redactor:
    """The settings of one tenant, and what they made of the texts that were seen last."""

    def __init__(self, settings: Minimisation) -> None:
        self._settings = settings
        self._looks_for_personal_data = bool(settings.personal_data.redact or settings.personal_data.patterns)
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._read)
        self.scope = lru_cache(maxsize=REMEMBERED)(self._scope)
        """Takes a key, or a field's name."""

    def value(self, scope: Scope, text: str) -> Taken | None:
        """Return a text as it may be kept; null where it may be kept as it is, which most may."""
        if not scope.personal_data:
            if not scope.secrets:
                return None
            if scope.telling is None and (len(text) < SHORTEST or _OF_NUMBERS.issuperset(text)):
                return None
        return self._remembered(scope, text) if len(text) <= LONGEST_REMEMBERED else self._read(scope, text)

    def _scope(self, key: str) -> Scope:
        secrets, personal = self._settings.secrets, self._settings.personal_data
        seeks_secrets = secrets.redact and not matches(secrets.allow, key)
        return Scope(
            secrets=seeks_secrets,
            personal_data=self._looks_for_personal_data and not matches(personal.keep_in, key),
            telling=told_by(key) if seeks_secrets else None,
        )

    def _read(self, scope: Scope, text: str) -> Taken | None:
        spans = list(self._found(scope, text))
        if not spans:
            return None
        left, joined = without(text, spans)
        return Taken(left, tuple(joined))

    def _found(self, scope: Scope, text: str) -> Iterator[Span]:
        if scope.secrets:
            found = list(_secrets(text))
            if scope.telling and not found and is_secret(scope.telling, text):
                found = [Span(0, len(text), "secret", scope.telling)]
            yield from found
        if scope.personal_data:
            personal = self._settings.personal_data
            yield from personal_data(text, personal.redact, personal.patterns)


def _secrets(text: str) -> Iterator[Span]:
    written = list(written_secrets(text))
    for span in vendor_tokens(text):  # first, since of two for the same letters the catalogue says better what they are
        has_its_secret = any(other.start >= span.start and other.end <= span.end for other in written)
        if not (has_its_secret and is_of_whole_address(span)):
            yield span
    yield from written
