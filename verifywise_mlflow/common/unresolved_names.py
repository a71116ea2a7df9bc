"""The error for a name that no object has, or that several objects have, with the nearest names that exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

from verifywise_mlflow.common.untrusted_text import quote

MAX_CANDIDATES: Final = 20_000
"""The maximum number of names that are compared: 20,000 names take about 10 ms."""
MAX_SUGGESTIONS: Final = 3
_MAX_LENGTH: Final = 256
"""The number of characters of a name that are compared, MLflow's own maximum: comparing long texts is costly."""
_MIN_SIMILARITY: Final = 60
"""The minimum similarity of a suggestion, on a scale up to 100: a name of five letters with two wrong letters reaches
it."""
_MIN_PART: Final = 3
"""The minimum length of a text for which longer names that contain it are suggested: most names contain one letter."""


class UnresolvedNameError(LookupError):
    """No tenant, model, version, rule or the like has this name, or several have it."""


class NotRecordedYetError(UnresolvedNameError):
    """The name cannot be resolved at a time before the first record. It may be spelled correctly."""


def unknown_name(sentence: str, name: str, candidates: Iterable[str]) -> UnresolvedNameError:
    """Return the error for a name that no object has; its text suggests the nearest names.

    Args:
        sentence: What does not exist, without a period.
        name: The name as it was written.
        candidates: The names that exist.
    """
    suggestion = did_you_mean(name, candidates)
    return UnresolvedNameError(f"{sentence}. {suggestion[0].upper()}{suggestion[1:]}" if suggestion else sentence)


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return a sentence that suggests the nearest names; an empty text if no name is near."""
    names = nearest_names(name, candidates)
    return f"did you mean {_alternatives(names)}?" if names else ""


def choice_hint(word: str, choices: Collection[str]) -> str:
    """Return what to write instead of a word outside a closed set: the nearest words of the set, or else all words."""
    return did_you_mean(word, choices) or f"choose one of {', '.join(choices)}"


def _alternatives(names: Iterable[str]) -> str:
    return " or ".join(map(quote, names))


def nearest_names(name: str, candidates: Iterable[str]) -> list[str]:
    """Return the names that are most similar to a name, then names that contain it; an empty list if there are none."""
    from rapidfuzz import fuzz, process  # imported here: it takes 10 ms, and only a misspelled name needs it

    names = list(islice(candidates, MAX_CANDIDATES))
    wanted = _comparable(name)
    similar = process.extract(
        wanted, names, scorer=fuzz.ratio, processor=_comparable, limit=MAX_SUGGESTIONS, score_cutoff=_MIN_SIMILARITY
    )
    nearest = [candidate for candidate, _, _ in similar]
    if len(wanted) >= _MIN_PART:
        nearest += [candidate for candidate in names if wanted in _comparable(candidate) and candidate not in nearest]
    return nearest[:MAX_SUGGESTIONS]


def _comparable(name: str) -> str:
    return name[:_MAX_LENGTH].casefold()
