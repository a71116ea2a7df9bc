"""Normal forms: what `High-Risk`, `HIGH` and `high risk` have in common.

A value is read as a whole. After dates and filler words are taken away, what is left must be one of the known ways
to write a form; a part of it is never enough, since `not done`, `incomplete` and `no PII` contain their opposite.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from verifywise_mlflow.common.globs import Globs
from verifywise_mlflow.normalizer.mapping.dates import without_dates
from verifywise_mlflow.normalizer.mapping.key_folding import fold, words

NORMAL_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "risk_category": ("prohibited", "high", "limited", "medium", "low", "minimal"),
    "data_sensitivity": ("special_category", "personal", "confidential", "internal", "public", "none"),
    "privacy_assessment_status": ("completed", "in_progress", "not_done", "not_required", "expired"),
    "lifecycle_stage": ("production", "staging", "development", "archived"),
}
"""The forms of each field that has a closed set of them. The graver one, or the one that ranks higher, first."""

_LONGEST_VALUE = 200
"""Characters. Nobody writes a category in more; a tag may hold 100,000."""


class Forms:
    """The known ways to write one field's values."""

    def __init__(
        self,
        written: Mapping[str, Sequence[str]],
        fillers: Collection[str] = (),
        patterns: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._patterns = Globs(patterns or {})
        self._fillers = frozenset(map(fold, fillers))
        self._form_of: dict[str, str] = {}
        # A form written in full goes before one that only fits once its fillers are taken away.
        for form, ways in sorted(written.items()):
            for way in ways:
                self._form_of.setdefault(fold(way), form)
        for form, ways in sorted(written.items()):
            for way in ways:
                self._form_of.setdefault(self._without_fillers(way), form)
        self._form_of.pop("", None)

    def read(self, value: str) -> str | None:
        """Return the normal form of a value, or None where it is none that is known."""
        if len(value) > _LONGEST_VALUE:
            return None
        undated = without_dates(value)
        candidates = (fold(value), fold(undated), self._without_fillers(undated))
        for candidate in candidates:
            if candidate in self._form_of:
                return self._form_of[candidate]
        return self._patterns.match(words(value))

    def _without_fillers(self, text: str) -> str:
        return "".join(word for word in words(text) if word not in self._fillers)
