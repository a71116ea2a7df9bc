"""Folding: keys are compared by their words, ignoring case, separators, accents and a leading namespace."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Final

MAX_KEY_LENGTH = 250
"""The maximum length of a key, in characters: MLflow's own maximum for a tag key. A longer key from a server is
ignored."""

_MAX_CACHED_LENGTH: Final = 100
"""The maximum length, in characters, of a text whose words are cached. The server decides how many texts there are, and
how long they are."""
_SYSTEM_PREFIX = "mlflow."
_MAX_NAMESPACE_WORDS = 4
_CAMEL_CASE_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ACCENT = re.compile("[\u0300-\u036f]")
_SEPARATOR = re.compile(r"[\W_]+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")


def split_words(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case and without accents.

    ``model-owner``, ``ModelOwner`` and ``model.owner`` all have the words ``model`` and ``owner``.
    """
    return _cached_words(text) if len(text) <= _MAX_CACHED_LENGTH else _words(text)


def _words(text: str) -> tuple[str, ...]:
    if text.isascii():  # Most texts are ASCII, for which the steps below only change the case.
        lower = text.lower()
        return tuple(_ASCII_WORD.findall(lower if lower == text else _CAMEL_CASE_BOUNDARY.sub(" ", text).lower()))
    plain = _ACCENT.sub("", unicodedata.normalize("NFKD", text))
    # Folding case can produce characters that decompose further, hence the second normalization.
    folded = unicodedata.normalize("NFKD", _CAMEL_CASE_BOUNDARY.sub(" ", plain).casefold())
    return tuple(word for word in _SEPARATOR.split(_ACCENT.sub("", folded)) if word)


# One text is compared several times in a row: with the forms of its field, after its date was removed, and with the
# placeholders.
_cached_words = lru_cache(maxsize=4096)(_words)


def fold(text: str) -> str:
    """Return a text in the form in which texts are compared: ``Risk Category``, ``riskCategory`` → ``riskcategory``."""
    return "".join(split_words(text))


def is_system_key(key: str) -> bool:
    """Return whether MLflow itself writes this key. Such a key is looked up by its exact name only."""
    return key.lower().startswith(_SYSTEM_PREFIX)


def key_spellings(key: str, namespaces: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Yield a key's words, then its words without a leading namespace.

    ``namespaces`` are folded. ``governance.model-owner`` yields ``(governance, model, owner)``, then
    ``(model, owner)`` and ``(owner,)``, if both ``governance`` and ``model`` are namespaces. A system key and a key
    beyond ``MAX_KEY_LENGTH`` yield nothing.
    """
    if len(key) > MAX_KEY_LENGTH or is_system_key(key):
        return
    parts = split_words(key)
    if not parts:
        return
    yield parts
    for length in range(1, min(len(parts), _MAX_NAMESPACE_WORDS + 1)):
        leading = parts[:length]
        if "".join(leading) in namespaces or all(word in namespaces for word in leading):
            yield parts[length:]
