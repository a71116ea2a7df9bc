"""Pagination: completeness is proven even if rows appear and disappear between two pages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from verifywise_mlflow.connector.pagination import MAX_READS, Listing, PagedListing, read_listing
from verifywise_mlflow.connector.text_intake import TextIntake
from verifywise_mlflow.http.errors import InvalidResponseError, LimitExceededError
from verifywise_mlflow.http.settings import Limits


def encode_offset(offset: int) -> str:
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


@dataclass
class Server:
    """A paged listing whose tokens are offsets, like MLflow's; ``changes[n]`` is applied before the n-th request."""

    rows: list[object]
    page_size: int = 3
    encode: Callable[[int], str] = encode_offset
    changes: dict[int, Callable[[list[object]], object]] = field(default_factory=dict)
    hidden: frozenset[object] = frozenset()
    """Rows that are filtered out after paging, as MLflow 3.17 does by permission."""
    tokens: list[str | None] = field(default_factory=list)
    requested: list[int] = field(default_factory=list)
    """The rows that each request may return."""
    max_readable: int = 1_000
    """The maximum number of rows of a page whose response does not exceed a limit."""

    def fetch_page(self, token: str | None, max_rows: int) -> dict[str, object]:
        self.tokens.append(token)
        self.requested.append(max_rows)
        if max_rows > self.max_readable:
            raise LimitExceededError("too large")
        change = self.changes.get(len(self.tokens))
        if change:
            change(self.rows)
        offset = 0 if token is None else self._offset(token)
        visible = [row for row in self.rows[offset : offset + max_rows] if row not in self.hidden]
        next_offset = offset + max_rows
        return {"rows": visible} | (
            {"next_page_token": self.encode(next_offset)} if next_offset < len(self.rows) else {}
        )

    def _offset(self, token: str) -> int:
        return (
            int(json.loads(base64.b64decode(token))["offset"])
            if self.encode is encode_offset
            else int(token.removeprefix("o"))
        )


def take_text(row: object, intake: TextIntake) -> object:
    return intake.take(row) if isinstance(row, str) else row


def listing_of(server: Server, limits: Limits | None = None) -> Listing[object]:
    return read_listing(PagedListing(server.fetch_page, "rows", take_text, str, server.page_size), limits or Limits())


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6, 7, 9, 10, 30])
def test_an_unchanging_listing_is_complete_after_one_read(count: int) -> None:
    server = Server(list(range(count)))

    listing = listing_of(server)

    assert listing.rows == tuple(range(count))
    assert listing.is_complete
    assert len(server.tokens) == max(1, -(-count // 3)), "the overlapping row costs no page"


def test_a_row_deleted_on_an_earlier_page_hides_no_later_row() -> None:
    server = Server(list(range(9)), changes={2: lambda rows: rows.remove(1)})

    listing = listing_of(server)

    assert listing.rows == (0, 2, 3, 4, 5, 6, 7, 8)
    assert listing.is_complete


def test_deleting_the_last_row_of_a_page_hides_no_row() -> None:
    server = Server(list(range(9)), changes={2: lambda rows: rows.remove(2)})

    listing = listing_of(server)

    assert listing.rows == (0, 1, 3, 4, 5, 6, 7, 8)
    assert listing.is_complete


def test_a_row_that_is_inserted_meanwhile_is_listed_once() -> None:
    server = Server(list(range(9)), changes={2: lambda rows: rows.insert(0, "new")})

    listing = listing_of(server)

    assert listing.rows == ("new", *range(9))
    assert listing.is_complete


def test_a_deletion_and_an_insertion_do_not_cancel_each_other_out() -> None:
    def swap(rows: list[object]) -> None:
        rows.remove(1)
        rows.insert(5, "new")

    server = Server(list(range(9)), changes={2: swap})

    assert set(listing_of(server).rows) == {0, 2, 3, 4, 5, 6, 7, 8, "new"}


def test_a_listing_that_keeps_changing_is_incomplete_and_has_every_row_seen() -> None:
    server = Server(list(range(30)))
    server.changes = {number: lambda rows: rows.pop(0) for number in range(2, 100)}

    listing = listing_of(server)

    assert not listing.is_complete
    assert f"changed during each of {MAX_READS} reads" in listing.problems[0]
    assert set(listing.rows) == set(range(30))


def test_a_listing_with_opaque_tokens_is_proven_by_a_second_read() -> None:
    server = Server(list(range(8)), encode=lambda offset: f"o{offset}")

    listing = listing_of(server)

    assert listing.rows == tuple(range(8))
    assert listing.is_complete
    assert len(server.tokens) == 6, "three pages, twice"


def test_a_listing_with_rows_hidden_by_permissions_is_proven_by_a_second_read() -> None:
    server = Server(list(range(9)), hidden=frozenset({2, 3, 4, 5}))

    listing = listing_of(server)

    assert listing.rows == (0, 1, 6, 7, 8)
    assert listing.is_complete


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "no base64 at all",
        base64.b64encode(b"[1]").decode(),
        base64.b64encode(b'{"offset":-4}').decode(),
        base64.b64encode(b'{"offset":true}').decode(),
        base64.b64encode(b'{"offset":3,"more":1}').decode(),
        base64.b64encode(b"\xff").decode(),
        "\ud800",
    ],
)
def test_a_malformed_token_is_sent_back_unchanged(odd: str) -> None:
    tokens: list[str | None] = []

    def fetch_page(token: str | None, _max_rows: int) -> dict[str, object]:
        tokens.append(token)
        return {"rows": [2]} if token else {"rows": [1], "next_page_token": odd}

    listing = read_listing(PagedListing(fetch_page, "rows", take_text, str, 10), Limits())

    assert listing.rows == ((1, 2) if odd else (1,))
    assert set(tokens) == ({None, odd} if odd else {None})


def test_a_row_that_is_listed_twice_with_different_contents_makes_the_listing_incomplete() -> None:
    def fetch_page(_token: str | None, _max_rows: int) -> dict[str, object]:
        return {"rows": [("a", 1), ("b", 1), ("a", 2), ("b", 1)]}

    def first_key(row: object) -> str:
        assert isinstance(row, tuple)
        return str(row[0])

    listing = read_listing(PagedListing(fetch_page, "rows", take_text, first_key, 10), Limits())

    assert listing.rows == (("a", 1), ("b", 1))
    assert tuple(listing.problems) == ("rows: 'a' is listed twice with different contents; the first one is used",)


def test_a_listing_of_more_rows_than_allowed_names_the_limit() -> None:
    with pytest.raises(LimitExceededError, match=r"more than the 5 rows allowed here \(max_rows\)"):
        listing_of(Server(list(range(9))), Limits(max_rows=5))


def test_a_listing_of_more_pages_than_allowed_names_the_limit() -> None:
    with pytest.raises(LimitExceededError, match=r"more than the 2 pages allowed here \(max_pages\)"):
        listing_of(Server(list(range(9))), Limits(max_pages=2))


def test_a_listing_whose_tokens_repeat_raises_an_error() -> None:
    def fetch_page(token: str | None, _max_rows: int) -> dict[str, object]:
        return {"rows": [1], "next_page_token": "b" if token == "a" else "a"}

    with pytest.raises(InvalidResponseError, match="would never end"):
        read_listing(PagedListing(fetch_page, "rows", take_text, str, 10), Limits())


def test_a_page_with_more_rows_than_requested_makes_the_listing_incomplete() -> None:
    def fetch_page(_token: str | None, _max_rows: int) -> dict[str, object]:
        return {"rows": list(range(100))}

    listing = read_listing(PagedListing(fetch_page, "rows", take_text, str, 3), Limits())

    assert listing.rows == (0, 1, 2)
    assert tuple(listing.problems) == ("rows: a page has 100 rows although 3 were requested; the others are ignored",)


def test_a_page_beyond_a_limit_is_read_with_fewer_rows() -> None:
    server = Server(list(range(40)), page_size=16, max_readable=5)

    listing = listing_of(server)

    assert listing.rows == tuple(range(40))
    assert listing.is_complete
    assert server.requested[:4] == [16, 4, 5, 5], "a quarter, then one more row to overlap"


def test_a_single_row_beyond_a_limit_raises_its_error() -> None:
    with pytest.raises(LimitExceededError, match="too large"):
        listing_of(Server(list(range(9)), max_readable=0))


def test_a_listing_that_takes_more_memory_than_allowed_names_the_limit() -> None:
    rows: list[object] = [f"{number} " * 1_000 for number in range(100)]

    with pytest.raises(LimitExceededError, match=r"more than the 100,000 bytes of memory allowed here"):
        listing_of(Server(rows), Limits(max_listing_bytes=100_000))


def test_equal_texts_of_a_listing_take_memory_once() -> None:
    intake = TextIntake()

    taken = [intake.take("".join(["own", "er"])) for _ in range(1_000)]

    assert len({id(text) for text in taken}) == 1
    assert intake.retained_bytes < 100


def test_a_listing_of_malformed_rows_has_a_bounded_text() -> None:
    def refuse(_row: object, _intake: TextIntake) -> object:
        raise InvalidResponseError("a row of the response has no name")

    def fetch_page(_token: str | None, max_rows: int) -> dict[str, object]:
        return {"rows": [{}] * max_rows}

    listing = read_listing(PagedListing(fetch_page, "rows", refuse, str, 20_000), Limits())

    (sentence,) = listing.problems
    assert sentence.startswith("20,000 malformed rows, the first 5: rows: a row of the response has no name; ")
    assert listing.problems.total == 20_000
