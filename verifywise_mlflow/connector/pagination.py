"""Pagination with proof of completeness: reads a listing page by page, and proves that no row is missing.

MLflow's page tokens are plain offsets into the server's current rows. A row that is deleted on an earlier page shifts
all later rows, and the next page silently starts one row too late. So each page after the first page is requested from
one row before its token, and must start with the last row of the previous page. If a page starts with another row, or
its token is not an offset, the listing is read again until a read lists exactly the objects of the previous reads. A
listing without either proof after ``MAX_READS`` reads is marked incomplete.

The rows are yielded page by page, while the next page is already being requested. So memory never holds a whole
listing. It holds only the keys of the listing, each with a hash of its row.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Final, Generic, TypeVar, cast

from verifywise_mlflow.common.problems import Problems
from verifywise_mlflow.common.untrusted_text import describe
from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.read_ahead import pages_ahead
from verifywise_mlflow.connector.response_memory import response_memory
from verifywise_mlflow.connector.text_intake import TextIntake
from verifywise_mlflow.http.errors import (
    DeadlineExceededError,
    InvalidResponseError,
    LimitExceededError,
    ResponseTimeoutError,
)
from verifywise_mlflow.http.settings import Limits

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

MAX_READS = 3
"""The maximum number of reads of a listing that changes while it is read."""

MAX_TOKEN_LENGTH = 4_096
"""The maximum number of characters of a page token, which is sent back in a URL. MLflow's tokens have about 30."""

_TOKEN_FIELDS: Final = frozenset({"offset", "experiment_ids", "filter_string", "order_by"})
"""The keys in MLflow's page tokens. The page tokens of a search for logged models repeat the search."""

PAGE_SHRINK_FACTOR = 4
"""A page that exceeds a limit is requested again with this many times fewer rows, down to one row."""

ROW_BYTES = 600
"""The bytes of memory of a parsed row without its texts: the object, its times, its key (measured: 200 to 800)."""

OVERFULL: Final = "pages with more rows than requested"
CUT_SHORT: Final = "listings that the deadline cut short"
LISTED_TWICE: Final = "rows listed twice with different contents"
UNREADABLE: Final = "objects that could not be read"
"""Kinds of problems."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """All listed rows of one kind, and whether the listing is complete."""

    rows: tuple[T, ...]
    problems: Problems = field(default_factory=Problems)
    """Why it is incomplete; empty for a complete listing. An incomplete listing must not lead to removals."""

    @property
    def is_complete(self) -> bool:
        """Whether an object that is not listed does not exist, as far as the account may see."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class PagedListing(Generic[T, K]):
    """How to fetch the pages of a listing, and how to identify its rows."""

    fetch_page: Callable[[str | None, int], dict[str, object]]
    """Requests a page, given its token (None for the first page) and the number of rows."""
    rows_key: str
    """The key of the rows in a response."""
    parse: Callable[[object, TextIntake], T]
    identify: Callable[[T], K]
    page_size: int
    """The number of rows to request. Each page after the first has one more row: the last row of the previous page."""
    max_page_size: int | None = None
    """The server's limit on the rows of a page, if it has one."""
    keeps_beginning: bool = True
    """Whether a listing that the sync's deadline cuts short returns the rows that were read."""
    max_token_length: int = MAX_TOKEN_LENGTH
    """The longest page token. It is larger for tokens that repeat the search and are sent back in a body."""


@dataclass(slots=True)
class Listed(Generic[K]):
    """The keys and problems of a listing. They are final after its last page."""

    keys: dict[K, int | None] = field(default_factory=dict)
    """The keys of the listing's rows, in order, each with a hash of the row if another page followed."""
    problems: Problems = field(default_factory=Problems)
    """Why it is incomplete; empty for a complete listing. An incomplete listing must not lead to removals."""

    @property
    def is_complete(self) -> bool:
        """Whether an object that is not listed does not exist, as far as the account may see."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class ListingPages(Generic[T, K]):
    """A listing as an iterator over its pages, which can be iterated once.

    A page has at least one row. A row is repeated in a later page if it changed while the listing was read.
    """

    read_pages: Callable[[Listed[K]], Iterator[Sequence[T]]]
    """Yields the pages, and adds their keys and problems to the argument. The first page may be empty."""
    identify: Callable[[T], K]
    listed: Listed[K] = field(default_factory=Listed)

    def __iter__(self) -> Iterator[Sequence[T]]:
        """Yield the pages. While a page is processed, the next page is read."""
        return filter(None, pages_ahead(self.read_pages(self.listed)))

    def read(self) -> Listing[T]:
        """Read all pages."""
        rows = {self.identify(row): row for page in self.read_pages(self.listed) for row in page}
        return Listing(tuple(rows[key] for key in self.listed.keys), self.listed.problems)


@dataclass(slots=True)
class _Read(Generic[T, K]):
    """One read of a listing."""

    previous: Mapping[K, int | None]
    """The rows that earlier reads have yielded."""
    keys: dict[K, int | None] = field(default_factory=dict)
    """The keys of this read's rows, in order, each with a hash of the row if another page followed."""
    problems: Problems = field(default_factory=Problems)
    intake: TextIntake = field(default_factory=TextIntake)
    is_proven: bool = True


def read_listing(listing: PagedListing[T, K], limits: Limits) -> Listing[T]:
    """Return all rows of a listing, in memory; see ``read_pages``."""
    return listing_pages(listing, limits).read()


def listing_pages(listing: PagedListing[T, K], limits: Limits) -> ListingPages[T, K]:
    """Return the pages of a listing, which are read as they are iterated; see ``read_pages``."""
    return ListingPages(lambda listed: read_pages(listing, limits, listed), listing.identify)


def read_pages(listing: PagedListing[T, K], limits: Limits, listed: Listed[K]) -> Iterator[Sequence[T]]:
    """Yield the rows of each page, and add the keys and problems of the listing to ``listed``.

    A page may be empty and still have a successor: only a missing token ends a listing.

    Raises:
        DeadlineExceededError: the sync's deadline has passed, and ``listing.keeps_beginning`` is false.
        LimitExceededError: the listing has more pages or rows than ``limits`` allow, or takes more memory.
        InvalidResponseError: the page tokens repeat, or are not text.
    """
    current: _Read[T, K] = _Read({})
    for number in range(1, MAX_READS + 1):
        try:
            yield from _read_once(listing, limits, current)
        except DeadlineExceededError as error:
            if not listing.keeps_beginning:
                raise
            current.problems.add(f"the rows of {listing.rows_key} were read in part only: {error}", CUT_SHORT)
            current.keys = {**current.previous, **current.keys}
            break
        if current.is_proven or (number > 1 and current.previous.keys() == current.keys.keys()):
            break
        if number < MAX_READS:
            current = _Read(current.keys if number == 1 else {**current.previous, **current.keys})
    else:
        current.problems.add(
            f"the listing of {listing.rows_key} changed during each of {MAX_READS} reads: rows may be missing"
        )
        current.keys = {**current.previous, **current.keys}
    listed.keys.update(current.keys)
    listed.problems.merge(current.problems)


def _read_once(listing: PagedListing[T, K], limits: Limits, read: _Read[T, K]) -> Iterator[Sequence[T]]:
    name = listing.rows_key
    tokens: set[str] = set()
    token: str | None = None
    last_key: K | None = None
    page_size = listing.page_size
    while True:
        overlapping_token = _one_row_back(token) if last_key is not None else None
        # While a large page is parsed, no other large page is in memory.
        with response_memory():
            response, page_size = _fetch_page(listing, overlapping_token or token, page_size)
            rows = _requested_rows(response.get(name), _rows_to_request(listing, token, page_size), name, read.problems)
            objects, problems = parsing.parse_rows(rows, lambda row: listing.parse(row, read.intake), name)
            token_after = _next_token(response, name, listing.max_token_length)
            del response, rows
        read.problems.merge(problems)
        keys = [listing.identify(row) for row in objects]
        overlaps = overlapping_token is not None and keys[:1] == [last_key]
        if token is not None and not overlaps:
            read.is_proven = False
        page = _page(read, keys[overlaps:], objects[overlaps:], name, is_last=token_after is None)
        last_key = keys[-1] if keys else None
        del objects, keys
        _refuse_excess(read, limits, name)
        if page:
            yield page
        del page

        token = token_after
        if token is None:
            return
        if token in tokens:
            raise InvalidResponseError(f"the listing of {name} repeats a page token: it would never end")
        tokens.add(token)
        if len(tokens) >= limits.max_pages:
            raise LimitExceededError(
                f"the listing of {name} has more than the {limits.max_pages:,} pages allowed here (max_pages)"
            )


def _rows_to_request(listing: PagedListing[T, K], token: str | None, page_size: int) -> int:
    rows = page_size if token is None else page_size + 1
    return min(rows, listing.max_page_size or rows)


def _fetch_page(listing: PagedListing[T, K], token: str | None, page_size: int) -> tuple[dict[str, object], int]:
    """Return a page and its page size, which is reduced if a larger page exceeded a limit."""
    while True:
        try:
            return listing.fetch_page(token, _rows_to_request(listing, token, page_size)), page_size
        except ResponseTimeoutError:
            raise
        except LimitExceededError:
            if page_size == 1:
                raise
            page_size = max(1, page_size // PAGE_SHRINK_FACTOR)


def _requested_rows(rows: object, requested: int, name: str, problems: Problems) -> object:
    """Return the rows of a page, without the rows beyond the requested number."""
    if not isinstance(rows, list) or len(rows) <= requested:
        return rows
    problems.add(
        f"{name}: a page has {len(rows):,} rows although {requested:,} were requested; the others are ignored", OVERFULL
    )
    return rows[:requested]


def _refuse_excess(read: _Read[T, K], limits: Limits, name: str) -> None:
    if len(read.keys) > limits.max_rows:
        raise LimitExceededError(
            f"the listing of {name} has more than the {limits.max_rows:,} rows allowed here (max_rows)"
        )
    if read.intake.retained_bytes + ROW_BYTES * len(read.keys) > limits.max_listing_bytes:
        raise LimitExceededError(
            f"the listing of {name} takes more than the {limits.max_listing_bytes:,} bytes of memory allowed here "
            "(max_listing_bytes)"
        )


def _page(read: _Read[T, K], keys: Sequence[K], objects: Sequence[T], name: str, *, is_last: bool) -> Sequence[T]:
    """Return the rows of a page that were not yielded yet, and record all rows of the page as listed.

    An equal duplicate is a row that was shifted. A duplicate with other contents makes the listing incomplete, and the
    first row is used. If both rows were used, they would replace each other in every sync.
    """
    page: dict[K, T] = {}
    for key, row in zip(keys, objects, strict=True):
        if key in page:
            is_equal = page[key] == row
        elif key in read.keys:
            is_equal = read.keys[key] == content_hash(row)
        else:
            page[key] = row
            continue
        if not is_equal:
            read.problems.add(
                f"{name}: {describe(str(key), 200)} is listed twice with different contents; the first one is used",
                LISTED_TWICE,
            )
    # Most listings have one page, whose rows are compared with no other rows.
    is_single = is_last and read.is_proven and not read.previous
    hashes = {key: None if is_single else content_hash(row) for key, row in page.items()}
    read.keys.update(hashes)
    return [row for key, row in page.items() if key not in read.previous or read.previous[key] != hashes[key]]


def content_hash(value: object) -> int:
    """Return a hash of all contents of a row. Only hashes of the same process can be compared."""
    kind = type(value)
    if kind is dict:
        items = cast("dict[str, object]", value).items()
        return hash(frozenset((key, content_hash(item)) for key, item in items))
    if kind is tuple:
        return hash(tuple(map(content_hash, cast("tuple[object, ...]", value))))
    if is_dataclass(kind):
        # Most values are texts, times and numbers. A dictionary of these is hashed in C.
        values = [getattr(value, name) for name in _field_names(kind)]
        try:
            return hash(tuple([frozenset(item.items()) if type(item) is dict else item for item in values]))
        except TypeError:
            return hash(tuple(map(content_hash, values)))
    return hash(value)


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))


def _next_token(response: dict[str, object], name: str, max_length: int) -> str | None:
    token = response.get("next_page_token")
    if token is None or token == "":
        return None
    if not isinstance(token, str):
        # Ending the listing here would make a partial listing look complete.
        raise InvalidResponseError(f"the listing of {name} has a page token of type {type(token).__name__}, not text")
    if len(token) > max_length:
        raise InvalidResponseError(f"the listing of {name} has a page token of {len(token):,} characters")
    return token


def _one_row_back(token: str | None) -> str | None:
    """Return the token of the page that starts one row earlier; None if the token is not an offset."""
    try:
        fields = json.loads(base64.b64decode(token or "", validate=True))
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or not fields.keys() <= _TOKEN_FIELDS:
        return None
    offset = fields.get("offset")
    if not isinstance(offset, int) or isinstance(offset, bool) or offset < 1:
        return None
    return base64.b64encode(json.dumps({**fields, "offset": offset - 1}).encode()).decode()
