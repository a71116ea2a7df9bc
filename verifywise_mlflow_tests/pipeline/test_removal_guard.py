"""The conditions under which a missing object counts as deleted."""

from __future__ import annotations

import pytest

from verifywise_mlflow.http.errors import ForbiddenError, HttpError, NotFoundError, UnreachableError
from verifywise_mlflow.pipeline.removal_guard import MAX_CONFIRMATIONS_PER_SYNC, Loss, RemovalDecision, confirm_removals


class Server:
    """Returns a response for each object, and records which objects were requested."""

    def __init__(self, responses: dict[str, HttpError | None] | None = None) -> None:
        self.responses = responses or {}
        self.requested: list[str] = []

    def request(self, name: str) -> None:
        self.requested.append(name)
        response = self.responses.get(name, NotFoundError("no such object"))
        if response:
            raise response


def confirm(
    server: Server,
    missing: list[str],
    *,
    stored_count: int,
    is_complete: bool = True,
    is_accepted: bool = False,
    removed_count: int = 0,
) -> RemovalDecision[str]:
    return confirm_removals(
        missing,
        losses=[Loss("models", len(missing), stored_count), Loss("versions", removed_count, 100)],
        listing_is_complete=is_complete,
        is_accepted=is_accepted,
        read_object=server.request,
        ahead=4,
    )


def names(count: int) -> list[str]:
    return [f"m{number}" for number in range(count)]


def test_only_objects_that_the_server_does_not_find_are_deleted() -> None:
    server = Server(
        {"forbidden": ForbiddenError("403"), "broken": UnreachableError("no response"), "unlisted but there": None}
    )

    removal = confirm(server, ["gone", "forbidden", "broken", "unlisted but there"], stored_count=1000)

    assert removal.deleted == ["gone"]
    assert [name for name, _ in removal.unconfirmed] == ["forbidden", "broken", "unlisted but there"]


@pytest.mark.parametrize("is_accepted", [False, True])
def test_an_incomplete_listing_removes_nothing_even_if_accepted(is_accepted: bool) -> None:
    server = Server()

    removal = confirm(server, names(3), stored_count=1000, is_complete=False, is_accepted=is_accepted)

    assert (removal.deleted, removal.unconfirmed, server.requested) == ([], [], [])
    assert "3 models are missing" in removal.notes[0]


@pytest.mark.parametrize(
    ("missing", "stored_count", "removed_count", "is_held_back"),
    [
        (20, 20, 0, False),  # a small registry is tidied up as a whole
        (21, 21, 0, True),
        (25, 100, 0, False),
        (26, 100, 0, True),
        (1, 100, 26, True),  # a single model that would take a quarter of all versions with it
        (1, 100, 25, False),
    ],
)
def test_a_large_loss_is_held_back(missing: int, stored_count: int, removed_count: int, is_held_back: bool) -> None:
    server = Server()

    removal = confirm(server, names(missing), stored_count=stored_count, removed_count=removed_count)

    assert bool(server.requested) != is_held_back
    assert len(removal.deleted) == (0 if is_held_back else missing)
    assert any("held back" in note for note in removal.notes) == is_held_back


def test_an_accepted_loss_is_still_confirmed_object_by_object_and_in_full() -> None:
    server = Server({"m7": None, "m8": ForbiddenError("403")})
    missing = names(MAX_CONFIRMATIONS_PER_SYNC + 50)

    removal = confirm(server, missing, stored_count=len(missing), is_accepted=True)

    assert removal.deleted == [name for name in missing if name not in ("m7", "m8")]
    assert removal.accepted_loss == "250 of 250 models disappeared at once"


def test_a_small_loss_is_not_recorded_as_accepted() -> None:
    assert confirm(Server(), names(3), stored_count=1000, is_accepted=True).accepted_loss is None


def test_more_missing_objects_than_a_sync_confirms_are_left_to_the_next() -> None:
    server = Server()

    removal = confirm(server, names(MAX_CONFIRMATIONS_PER_SYNC + 50), stored_count=10_000)

    assert len(removal.deleted) == len(server.requested) == MAX_CONFIRMATIONS_PER_SYNC
    assert removal.notes == ["50 more missing models are left to the next sync"]
