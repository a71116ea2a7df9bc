"""Problems: counted by kind, with the first sentences of each kind.

A server can cause any number of problems. They must not fill the memory, the audit trail and the event log. So the text
that a ``Problems`` object stores and shows is bounded, even if many problems are added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, overload

from verifywise_mlflow.common.untrusted_text import truncate

MAX_SENTENCE_LENGTH: Final = 1_000
"""The number of characters after which a stored or shown sentence (a problem, an error, a note) is truncated."""
MAX_FIRST: Final = 5
"""The number of sentences that are kept of each kind."""
MAX_KINDS: Final = 12
"""The maximum number of kinds that are counted separately. Kinds are constants of the code; the limit only bounds the
effect of a mistake."""

_OTHER: Final = "problems"


def shorten(sentence: str) -> str:
    """Return a sentence of at most ``MAX_SENTENCE_LENGTH`` characters, with an ellipsis if it was truncated."""
    return truncate(sentence, MAX_SENTENCE_LENGTH - 1)


class Problems(Sequence[str]):
    """Counts problems by kind. It is a sequence of the sentences to show: at most ``MAX_FIRST`` of each kind."""

    __slots__ = ("_counts", "_first")

    def __init__(self, *sentences: str) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[str]] = {}
        for sentence in sentences:
            self.add(sentence)

    def add(self, sentence: str, kind: str = _OTHER) -> None:
        """Count a problem; keep its sentence if it is among the first problems of its kind.

        Args:
            sentence: What is wrong, without a full stop.
            kind: A plural noun for the count, such as ``malformed rows``. It must be a constant.
        """
        if kind not in self._counts and len(self._counts) >= MAX_KINDS:
            kind = _OTHER
        self._counts[kind] = self._counts.get(kind, 0) + 1
        first = self._first.setdefault(kind, [])
        if len(first) < MAX_FIRST:
            first.append(shorten(sentence))

    def merge(self, other: Problems) -> None:
        """Add the problems of another object."""
        for kind, count in other._counts.items():
            sentences = other._first[kind]
            for sentence in sentences:
                self.add(sentence, kind)
            if count > len(sentences):
                self._counts[kind if kind in self._counts else _OTHER] += count - len(sentences)

    def map(self, rewrite: Callable[[str], str]) -> Problems:
        """Return the same counts with rewritten sentences."""
        rewritten = Problems()
        rewritten._counts = dict(self._counts)
        rewritten._first = {kind: [shorten(rewrite(text)) for text in first] for kind, first in self._first.items()}
        return rewritten

    def includes(self, kind: str) -> bool:
        """Return whether there is a problem of this kind."""
        return kind in self._counts

    @property
    def total(self) -> int:
        """How many problems there are."""
        return sum(self._counts.values())

    def __add__(self, other: Problems) -> Problems:
        """Return the problems of both objects."""
        both = Problems()
        both.merge(self)
        both.merge(other)
        return both

    def sentences(self) -> tuple[str, ...]:
        """Return the sentences to show.

        A kind with few problems has one sentence per problem; a kind with many has one sentence with the count.
        """
        return tuple(sentence for kind in self._counts for sentence in self._sentences_of(kind))

    def _sentences_of(self, kind: str) -> Sequence[str]:
        count, first = self._counts[kind], self._first[kind]
        if count <= len(first):
            return first
        return (shorten(f"{count:,} {kind}, the first {len(first)}: {'; '.join(first)}"),)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        """Return a sentence, or a slice of the sentences."""
        return self.sentences()[index]

    def __len__(self) -> int:
        """Return the number of sentences; ``total`` is the number of problems."""
        return len(self.sentences()) if self._counts else 0

    def __eq__(self, other: object) -> bool:
        """Return whether both objects count the same problems."""
        if not isinstance(other, Problems):
            return NotImplemented
        return self._counts == other._counts and self._first == other._first

    __hash__ = None  # type: ignore[assignment]  # the object can change

    def __repr__(self) -> str:
        """Return the counts."""
        return f"Problems({self._counts})"
