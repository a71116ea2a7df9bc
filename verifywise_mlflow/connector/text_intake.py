"""Accepts a server's texts: limits their length and number, stores equal texts once, and counts their memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from sys import getsizeof
from typing import Final, TypeVar

from verifywise_mlflow.common.problems import Problems
from verifywise_mlflow.common.untrusted_text import describe

T = TypeVar("T")
V = TypeVar("V")

MAX_TEXT_LENGTH: Final = 100_000
"""The maximum number of characters of a text. The longest text in MLflow is the tag of a model version, with the same
limit."""
MAX_OBJECT_TEXT: Final = 1_000_000
"""The maximum number of characters of all texts of one object together: ten times the longest text."""
MAX_ITEMS: Final = 10_000
"""The maximum number of tags, aliases, metrics, parameters or data sets of one object."""

TOO_LONG: Final = "texts beyond a limit"
"""The kind of problem for which a text is left out."""

_MAX_KNOWN = 10_000
"""The maximum number of texts that objects share: enough for the keys of tags, and for owners and stages."""
MAX_SHARED_LENGTH: Final = 200
"""The maximum number of characters of a text that objects share."""


class TextIntake:
    """The texts of one listing, or of one object that is read separately."""

    __slots__ = ("_known", "retained_bytes")

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self.retained_bytes = 0
        """The bytes of memory of the accepted texts and of their dictionaries. Each text is counted once."""

    def take(self, text: str) -> str:
        """Return the text, or an equal text that was accepted before."""
        known = self._known.get(text)
        if known is not None:
            return known
        self.retained_bytes += getsizeof(text)
        if len(self._known) < _MAX_KNOWN and len(text) <= MAX_SHARED_LENGTH:
            self._known[text] = text
        return text


class ObjectTexts:
    """The texts and the problems of one object. The object's limits apply to all its texts together."""

    __slots__ = ("_characters_left", "_intake", "problems")

    def __init__(self, intake: TextIntake) -> None:
        self._intake = intake
        self._characters_left = MAX_OBJECT_TEXT
        self.problems = Problems()

    def text(self, name: str, text: str) -> str | None:
        """Return a text that is within the limits; otherwise report a problem and return None.

        A text that is too long is left out, not cut: a part of a URI, a JSON document or a secret is another text.
        The problem contains the text's digest, so that a change of the text is detected.
        """
        if len(text) > MAX_TEXT_LENGTH or len(text) > self._characters_left:
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            self.problems.add(
                f"{name} was not taken in: it has {len(text):,} characters, and a text may have at most "
                f"{MAX_TEXT_LENGTH:,}, an object {MAX_OBJECT_TEXT:,} (its SHA-256 begins {digest})",
                TOO_LONG,
            )
            return None
        self._characters_left -= len(text)
        return self._intake.take(text)

    def texts(self, name: str, pairs: Mapping[str, str]) -> dict[str, str]:
        """Return the pairs that are within the limits; report the other pairs."""
        lengths = list(map(len, pairs.values()))
        characters = sum(map(len, pairs)) + sum(lengths)
        if self._fits(len(pairs), characters, max(lengths, default=0)):
            take = self._intake.take
            return self._retain({take(key): take(text) for key, text in pairs.items()})
        taken: dict[str, str] = {}
        for key in self._first_keys(name, pairs):
            text = self.text(f"{name} {describe(key, 100)}", pairs[key])
            if text is not None and (taken_key := self.text(f"a key of {name}", key)) is not None:
                taken[taken_key] = text
        return self._retain(taken)

    def numbers(self, name: str, pairs: Mapping[str, float]) -> dict[str, float]:
        """Return the pairs whose keys are within the limits; report the other pairs."""
        if self._fits(len(pairs), sum(map(len, pairs)), max(map(len, pairs), default=0)):
            take = self._intake.take
            return self._retain({take(key): number for key, number in pairs.items()})
        keys = ((key, self.text(f"a key of {name}", key)) for key in self._first_keys(name, pairs))
        return self._retain({taken_key: pairs[key] for key, taken_key in keys if taken_key is not None})

    def first(self, name: str, items: Sequence[T]) -> Sequence[T]:
        """Return the first ``MAX_ITEMS`` items; report how many other items there are."""
        if (more := len(items) - MAX_ITEMS) > 0:
            self.problems.add(f"{more:,} {name} were not taken in: an object may have at most {MAX_ITEMS:,}", TOO_LONG)
        return items[:MAX_ITEMS]

    def _retain(self, pairs: dict[str, V]) -> dict[str, V]:
        self._intake.retained_bytes += getsizeof(pairs)
        return pairs

    def _fits(self, items: int, characters: int, longest: int) -> bool:
        """Return whether all items are within the limits; if so, count their characters."""
        if items > MAX_ITEMS or longest > MAX_TEXT_LENGTH or characters > self._characters_left:
            return False
        self._characters_left -= characters
        return True

    def _first_keys(self, name: str, pairs: Mapping[str, V]) -> Sequence[str]:
        # Sorted, so that the order in which the server lists the items does not decide which items are accepted.
        return self.first(name, sorted(pairs))
