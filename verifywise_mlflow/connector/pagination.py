"""Reads a listing page by page, and proves that it is all there is.

MLflow's page tokens are plain offsets into what the server holds at that moment: a row that is deleted on an
earlier page shifts all others, and the next page begins one row too late. So each page after the first is asked
for from one row before its token; it must begin with the row that the last one ended with. Where a page does not,
or a token tells no offset, the listing is read again until two readings show the same rows. A listing for which
neither comes about says that it is not complete.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.http.errors import InvalidResponseError, LimitExceededError
from verifywise_mlflow.http.settings import Limits

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

MAX_READS = 3
"""Of a listing that changes while it is read."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """All rows of one kind, and whether that is all there are."""

    rows: tuple[T, ...]
    problems: tuple[str, ...] = ()
    """Why it is not complete; empty for a complete listing. An incomplete one must not remove anything."""

    @property
    def is_complete(self) -> bool:
        """Whether what is not in it is not there."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class PagedListing(Generic[T, K]):
    """How a listing is asked for, and how its rows are told apart."""

    fetch_page: Callable[[str | None], dict[str, object]]
    """Takes a page's token, or none for the first page."""
    rows_key: str
    """Under which the rows stand in an answer."""
    parse: Callable[[object], T]
    identify: Callable[[T], K]


@dataclass(slots=True)
class _Reading(Generic[T, K]):
    rows: dict[K, T]
    problems: list[str]
    is_proven: bool = True


def read_listing(pages: PagedListing[T, K], bounds: Limits) -> Listing[T]:
    """Return all rows. A page may be empty and still have a next one, so only a missing token ends a listing.

    Raises:
        LimitExceededError: it has more pages or rows than allowed.
        InvalidResponseError: its tokens lead in a circle or are none.
    """
    found: dict[K, T] = {}
    before: _Reading[T, K] | None = None
    for _ in range(MAX_READS):
        reading = _read_through(pages, bounds)
        if reading.is_proven or (before and before.rows.keys() == reading.rows.keys()):
            return Listing(tuple(reading.rows.values()), tuple(reading.problems))
        found |= reading.rows
        before = reading
    changed = f"the listing of {pages.rows_key} changed each of the {MAX_READS} times it was read: rows may be missing"
    return Listing(tuple(found.values()), (*(before.problems if before else ()), changed))


def _read_through(pages: PagedListing[T, K], bounds: Limits) -> _Reading[T, K]:
    reading: _Reading[T, K] = _Reading({}, [])
    seen: set[str] = set()
    token: str | None = None
    last: K | None = None
    while True:
        overlapping = _one_row_back(token) if last is not None else None
        answer = pages.fetch_page(overlapping or token)
        objects, unusable = parsing.parse_rows(answer.get(pages.rows_key), pages.parse, pages.rows_key)
        reading.problems += unusable
        keys = [pages.identify(found) for found in objects]
        if token is not None and (overlapping is None or keys[:1] != [last]):
            reading.is_proven = False
        fresh = objects[1:] if overlapping and keys[:1] == [last] else objects
        for found in fresh:
            _keep(reading, pages.identify(found), found, pages.rows_key)
        last = keys[-1] if keys else None
        if len(reading.rows) > bounds.max_rows:
            raise LimitExceededError(
                f"the listing of {pages.rows_key} has more rows than rows={bounds.max_rows:,} allows here"
            )

        token = _next_token(answer, pages.rows_key)
        if token is None:
            return reading
        if token in seen:
            raise InvalidResponseError(
                f"the listing of {pages.rows_key} came back to a page it had been at: it would never end"
            )
        seen.add(token)
        if len(seen) >= bounds.max_pages:
            raise LimitExceededError(
                f"the listing of {pages.rows_key} has more pages than pages={bounds.max_pages:,} allows here"
            )


def _keep(reading: _Reading[T, K], key: K, found: T, what: str) -> None:
    """Keep a row. One that comes twice is only shifted; one that differs from itself leaves a doubt."""
    before = reading.rows.setdefault(key, found)
    if before is not found and before != found:
        reading.rows[key] = found
        reading.problems.append(f"{what}: {ascii(key)[:200]} came twice with different contents; the last one is kept")


def _next_token(answer: dict[str, object], key: str) -> str | None:
    token = answer.get("next_page_token")
    if token is None or token == "":
        return None
    if not isinstance(token, str):
        # To end here would make a part of the listing look like all of it.
        raise InvalidResponseError(f"the listing of {key} goes on with a token that is {type(token).__name__}")
    return token


def _one_row_back(token: str | None) -> str | None:
    """Return the token of the page that begins one row earlier; none for a token that tells no offset."""
    try:
        told = json.loads(base64.b64decode(token or "", validate=True))
    except ValueError:
        return None
    if not isinstance(told, dict) or told.keys() != {"offset"}:
        return None
    offset = told["offset"]
    if not isinstance(offset, int) or isinstance(offset, bool) or offset < 1:
        return None
    return base64.b64encode(json.dumps({"offset": offset - 1}).encode()).decode()
