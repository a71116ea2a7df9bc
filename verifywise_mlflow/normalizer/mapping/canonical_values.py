"""Normalization of values: `High-Risk`, `HIGH` and `high risk` have one normal form.

A value is matched as a whole. After dates and filler words are removed, it must be a known spelling of a form. Matching
a part would be wrong, since `not done`, `incomplete` and `no PII` contain their opposite.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from verifywise_mlflow.common.globs import GlobTable
from verifywise_mlflow.normalizer.mapping.dates import strip_dates
from verifywise_mlflow.normalizer.mapping.key_folding import fold, split_words

MAX_VALUE_LENGTH: Final = 200
"""The maximum length of a value that is matched, in characters. No category needs more; a tag may have 100,000
characters."""


class NormalFormReader:
    """The known spellings of one field's normal forms."""

    def __init__(
        self,
        spellings: Mapping[str, Sequence[str]],
        fillers: Collection[str] = (),
        patterns: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._patterns = GlobTable(patterns or {})
        self._fillers = frozenset(map(fold, fillers))
        self._form_of: dict[str, str] = {}
        # An exact spelling takes precedence over one that only matches once its fillers are removed.
        for form, form_spellings in sorted(spellings.items()):
            for spelling in form_spellings:
                self._form_of.setdefault(fold(spelling), form)
        for form, form_spellings in sorted(spellings.items()):
            for spelling in form_spellings:
                self._form_of.setdefault(self._without_fillers(split_words(spelling)), form)
        self._form_of.pop("", None)

    def read(self, value: str) -> str | None:
        """Return the normal form of a value; None if the value is not a known spelling."""
        if len(value) > MAX_VALUE_LENGTH:
            return None
        words = undated_words = split_words(value)
        if (undated := strip_dates(value)) != value:
            undated_words = split_words(undated)
        form_of = self._form_of
        return (
            form_of.get("".join(words))
            or form_of.get("".join(undated_words))
            or form_of.get(self._without_fillers(undated_words))
            or self._patterns.match(words)
        )

    def _without_fillers(self, words: Sequence[str]) -> str:
        return "".join([word for word in words if word not in self._fillers])
