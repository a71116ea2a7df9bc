"""Pagination with proof of completeness: reads a listing page by page, and proves that no row is missing.

MLflow's page tokens are plain offsets into the server's current rows. A row that is deleted on an earlier page shifts
all later ones, and the next page silently starts one row too late. So each page after the first is requested from one
row before its token, and must start with the last row of the page before. If a page does not, or its token is not an
offset, the listing is read again until two reads in a row have the same rows. A listing without either proof is marked
incomplete.
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
"""Attempts to read a listing that changes while it is read."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """All rows of one kind, and whether the listing is complete."""

    rows: tuple[T, ...]
    problems: tuple[str, ...] = ()
    """Why it is incomplete; empty for a complete listing. An incomplete listing must not lead to removals."""

    @property
    def is_complete(self) -> bool:
        """Whether an object that is not listed does not exist, as far as the account may see."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class PagedListing(Generic[T, K]):
    """How to fetch the pages of a listing, and how to identify its rows."""

    fetch_page: Callable[[str | None], dict[str, object]]
    """Takes a page token; None for the first page."""
    rows_key: str
    """The key of the rows in a response."""
    parse: Callable[[object], T]
    identify: Callable[[T], K]


@dataclass(slots=True)
class _Read(Generic[T, K]):
    rows: dict[K, T]
    problems: list[str]
    is_proven: bool = True


def read_listing(listing: PagedListing[T, K], limits: Limits) -> Listing[T]:
    """Return all rows. A page may be empty and still have a successor: only a missing token ends a listing.

    Raises:
        LimitExceededError: it has more pages or rows than ``limits`` allow.
        InvalidResponseError: its page tokens repeat, or are not text.
    """
    all_rows: dict[K, T] = {}
    previous: _Read[T, K] | None = None
    for _ in range(MAX_READS):
        current = _read_once(listing, limits)
        if current.is_proven or (previous and previous.rows.keys() == current.rows.keys()):
            return Listing(tuple(current.rows.values()), tuple(current.problems))
        all_rows |= current.rows
        previous = current
    changed = f"the listing of {listing.rows_key} changed during each of {MAX_READS} reads: rows may be missing"
    return Listing(tuple(all_rows.values()), (*(previous.problems if previous else ()), changed))


def _read_once(listing: PagedListing[T, K], limits: Limits) -> _Read[T, K]:
    name = listing.rows_key
    read: _Read[T, K] = _Read({}, [])
    tokens: set[str] = set()
    token: str | None = None
    last_key: K | None = None
    while True:
        overlapping_token = _one_row_back(token) if last_key is not None else None
        response = listing.fetch_page(overlapping_token or token)
        rows, problems = parsing.parse_rows(response.get(name), listing.parse, name)
        read.problems += problems
        keys = [listing.identify(row) for row in rows]
        overlaps = overlapping_token is not None and keys[:1] == [last_key]
        if token is not None and not overlaps:
            read.is_proven = False
        for row in rows[1:] if overlaps else rows:
            _add(read, listing.identify(row), row, name)
        last_key = keys[-1] if keys else None
        if len(read.rows) > limits.max_rows:
            raise LimitExceededError(
                f"the listing of {name} has more than the {limits.max_rows:,} rows allowed here (max_rows)"
            )

        token = _next_token(response, name)
        if token is None:
            return read
        if token in tokens:
            raise InvalidResponseError(f"the listing of {name} repeats a page token: it would never end")
        tokens.add(token)
        if len(tokens) >= limits.max_pages:
            raise LimitExceededError(
                f"the listing of {name} has more than the {limits.max_pages:,} pages allowed here (max_pages)"
            )


def _add(read: _Read[T, K], key: K, row: T, name: str) -> None:
    """Add a row. An equal duplicate was only shifted; a duplicate with other contents makes the listing incomplete."""
    previous_row = read.rows.setdefault(key, row)
    if previous_row is not row and previous_row != row:
        read.rows[key] = row
        read.problems.append(
            f"{name}: {ascii(key)[:200]} is listed twice with different contents; the last one is used"
        )


def _next_token(response: dict[str, object], name: str) -> str | None:
    token = response.get("next_page_token")
    if token is None or token == "":
        return None
    if not isinstance(token, str):
        # To stop here would make a partial listing look complete.
        raise InvalidResponseError(f"the listing of {name} has a page token of type {type(token).__name__}, not text")
    return token


def _one_row_back(token: str | None) -> str | None:
    """Return the token of the page that starts one row earlier; None if the token is not an offset."""
    try:
        fields = json.loads(base64.b64decode(token or "", validate=True))
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.keys() != {"offset"}:
        return None
    offset = fields["offset"]
    if not isinstance(offset, int) or isinstance(offset, bool) or offset < 1:
        return None
    return base64.b64encode(json.dumps({"offset": offset - 1}).encode()).decode()
