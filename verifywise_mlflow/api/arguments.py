"""The values that callers pass: a time, one text or several, and words of a closed set."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from verifywise_mlflow.api.errors import InvalidArgumentError
from verifywise_mlflow.common.moments import parse_moment, utc_text
from verifywise_mlflow.common.unresolved_names import choice_hint
from verifywise_mlflow.common.untrusted_text import quote


def moment(given: datetime | str | None) -> datetime:
    """Return a time in UTC; for None, the present time.

    Raises:
        InvalidArgumentError: the time has no zone, or is in the future.
        MomentError: the text is not a time.
    """
    now = datetime.now(UTC)
    if given is None:
        return now
    if isinstance(given, str):
        return parse_moment(given, now)
    if given.tzinfo is None:
        raise InvalidArgumentError(f"{given.isoformat()} has no zone: write datetime(..., tzinfo=UTC)")
    if given > now:
        raise InvalidArgumentError(f"{utc_text(given)} is still to come: it is {utc_text(now)} now")
    return given.astimezone(UTC)


def texts(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return the alternatives of a filter."""
    return (given,) if isinstance(given, str) else tuple(given)


def closed_words(parameter: str, given: str | Iterable[str], allowed: Collection[str]) -> tuple[str, ...]:
    """Check that words belong to a closed set, and return them.

    A misspelled word would match no row, and an empty result looks like good news.

    Raises:
        InvalidArgumentError: a word is not in the set.
    """
    words = texts(given)
    for word in words:
        if word not in allowed:
            raise InvalidArgumentError(f"{parameter}: {quote(word)} is not known: {choice_hint(word, allowed)}")
    return words
