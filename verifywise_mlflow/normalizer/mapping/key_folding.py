"""How keys are compared: by their words, whatever the case, the separators and the namespace around them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator

LONGEST_KEY = 250
"""Characters. MLflow keeps no longer tag key; a server that sends one is not asked what it means."""

_SYSTEM_PREFIX = "mlflow."
_DEEPEST_NAMESPACE = 4
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ACCENT = re.compile("[\u0300-\u036f]")
_SEPARATOR = re.compile(r"[\W_]+")


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case and without accents.

    ``model-owner``, ``ModelOwner`` and ``model.owner`` all have the words ``model`` and ``owner``.
    """
    plain = _ACCENT.sub("", unicodedata.normalize("NFKD", text))
    # Folding case can bring forth characters that decompose further; those go through once more.
    folded = unicodedata.normalize("NFKD", _HUMP.sub(" ", plain).casefold())
    return tuple(word for word in _SEPARATOR.split(_ACCENT.sub("", folded)) if word)


def fold(text: str) -> str:
    """Return what is left of a text for comparing: ``Risk Category``, ``riskCategory`` → ``riskcategory``."""
    return "".join(words(text))


def is_system_key(key: str) -> bool:
    """Whether MLflow itself writes this key. Such keys are only ever asked for by their exact name."""
    return key.lower().startswith(_SYSTEM_PREFIX)


def spellings(key: str, namespaces: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Yield a key's words, then its words without a leading namespace.

    ``namespaces`` are folded. ``governance.model-owner`` yields ``(governance, model, owner)``, then
    ``(model, owner)`` and ``(owner,)``, where both ``governance`` and ``model`` are namespaces.
    A system key and one longer than any of MLflow's yield nothing.
    """
    if len(key) > LONGEST_KEY or is_system_key(key):
        return
    parts = words(key)
    if not parts:
        return
    yield parts
    for length in range(1, min(len(parts), _DEEPEST_NAMESPACE + 1)):
        leading = parts[:length]
        if "".join(leading) in namespaces or all(word in namespaces for word in leading):
            yield parts[length:]
