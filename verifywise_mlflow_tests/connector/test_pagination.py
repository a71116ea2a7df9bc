from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from verifywise_mlflow.connector.pagination import MAX_READS, Listing, PagedListing, read_listing
from verifywise_mlflow.http.errors import InvalidResponseError, LimitExceededError
from verifywise_mlflow.http.settings import Limits


def token(offset: int) -> str:
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


@dataclass
class Server:
    """Rows behind offsets, as MLflow keeps them; ``meanwhile`` happens before the question of that number."""

    rows: list[object]
    page: int = 3
    write: Callable[[int], str] = token
    meanwhile: dict[int, Callable[[list[object]], object]] = field(default_factory=dict)
    hidden: frozenset[object] = frozenset()
    """Rows that are filtered out after paging, as MLflow 3.17 does by permission."""
    asked: list[str | None] = field(default_factory=list)

    def ask(self, told: str | None) -> dict[str, object]:
        self.asked.append(told)
        change = self.meanwhile.get(len(self.asked))
        if change:
            change(self.rows)
        offset = 0 if told is None else self._offset(told)
        limit = self.page + (1 if told else 0)
        shown = [row for row in self.rows[offset : offset + limit] if row not in self.hidden]
        following = offset + limit
        return {"rows": shown} | ({"next_page_token": self.write(following)} if following < len(self.rows) else {})

    def _offset(self, told: str) -> int:
        return int(json.loads(base64.b64decode(told))["offset"]) if self.write is token else int(told.removeprefix("o"))


def read(server: Server, bounds: Limits | None = None) -> Listing[object]:
    return read_listing(PagedListing(server.ask, "rows", lambda row: row, lambda row: str(row)), bounds or Limits())


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6, 7, 9, 10, 30])
def test_a_listing_that_stays_as_it_is_is_complete_after_one_reading(count: int) -> None:
    server = Server(list(range(count)))

    listing = read(server)

    assert listing.rows == tuple(range(count))
    assert listing.is_complete
    assert len(server.asked) == max(1, -(-count // 3)), "the row asked for twice costs no page"


def test_a_row_deleted_on_an_earlier_page_hides_none_behind_it() -> None:
    server = Server(list(range(9)), meanwhile={2: lambda rows: rows.remove(1)})

    listing = read(server)

    assert listing.rows == (0, 2, 3, 4, 5, 6, 7, 8)
    assert listing.is_complete


def test_the_last_row_of_a_page_may_be_the_one_that_is_deleted() -> None:
    server = Server(list(range(9)), meanwhile={2: lambda rows: rows.remove(2)})

    listing = read(server)

    assert listing.rows == (0, 1, 3, 4, 5, 6, 7, 8)
    assert listing.is_complete


def test_a_row_that_comes_in_between_is_there_once() -> None:
    server = Server(list(range(9)), meanwhile={2: lambda rows: rows.insert(0, "new")})

    listing = read(server)

    assert listing.rows == ("new", *range(9))
    assert listing.is_complete


def test_a_deletion_and_a_new_row_do_not_make_up_for_each_other() -> None:
    def swap(rows: list[object]) -> None:
        rows.remove(1)
        rows.insert(5, "new")

    server = Server(list(range(9)), meanwhile={2: swap})

    assert set(read(server).rows) == {0, 2, 3, 4, 5, 6, 7, 8, "new"}


def test_a_listing_that_never_stands_still_says_so_and_keeps_what_was_seen() -> None:
    server = Server(list(range(30)))
    server.meanwhile = {number: lambda rows: rows.pop(0) for number in range(2, 100)}

    listing = read(server)

    assert not listing.is_complete
    assert f"changed each of the {MAX_READS} times" in listing.problems[0]
    assert set(listing.rows) == set(range(30))


def test_tokens_that_tell_no_offset_are_proven_by_a_second_reading() -> None:
    server = Server(list(range(8)), write=lambda offset: f"o{offset}")

    listing = read(server)

    assert listing.rows == tuple(range(8))
    assert listing.is_complete
    assert len(server.asked) == 6, "three pages, twice"


def test_rows_that_permissions_hide_leave_a_listing_that_a_second_reading_proves() -> None:
    server = Server(list(range(9)), hidden=frozenset({2, 3, 4, 5}))

    listing = read(server)

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
def test_a_strange_token_is_sent_back_as_it_came(odd: str) -> None:
    asked: list[str | None] = []

    def ask(told: str | None) -> dict[str, object]:
        asked.append(told)
        return {"rows": [2]} if told else {"rows": [1], "next_page_token": odd}

    listing = read_listing(PagedListing(ask, "rows", lambda row: row, str), Limits())

    assert listing.rows == ((1, 2) if odd else (1,))
    assert set(asked) == ({None, odd} if odd else {None})


def test_a_row_that_comes_twice_with_other_contents_leaves_a_doubt() -> None:
    def ask(_told: str | None) -> dict[str, object]:
        return {"rows": [("a", 1), ("b", 1), ("a", 2), ("b", 1)]}

    def first(row: object) -> str:
        assert isinstance(row, tuple)
        return str(row[0])

    listing = read_listing(PagedListing(ask, "rows", lambda row: row, first), Limits())

    assert listing.rows == (("a", 2), ("b", 1))
    assert listing.problems == ("rows: 'a' came twice with different contents; the last one is kept",)


def test_a_listing_of_more_rows_than_allowed_names_the_bound() -> None:
    with pytest.raises(LimitExceededError, match="more rows than rows=5 "):
        read(Server(list(range(9))), Limits(max_rows=5))


def test_a_listing_of_more_pages_than_allowed_names_the_bound() -> None:
    with pytest.raises(LimitExceededError, match="more pages than pages=2 "):
        read(Server(list(range(9))), Limits(max_pages=2))


def test_a_listing_that_goes_round_in_circles_ends() -> None:
    def ask(told: str | None) -> dict[str, object]:
        return {"rows": [1], "next_page_token": "b" if told == "a" else "a"}

    with pytest.raises(InvalidResponseError, match="would never end"):
        read_listing(PagedListing(ask, "rows", lambda row: row, str), Limits())
