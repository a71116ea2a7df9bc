"""The walk over a log of states finds the part of the log that differs from the commitment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.audit.accepted_states import AcceptedRange
from verifywise_mlflow.audit.log_verification import Commitment, Leaf, LogReport, verify_log
from verifywise_mlflow.audit.merkle import Frontier
from verifywise_mlflow.audit.state_leaf import State, hash_of

SIZES = (5, 11, 24)
"""The states that each of three syncs left in the log."""


def leaf(position: int, *, content: str = "", sync_id: str = "") -> Leaf:
    number = next(number for number, size in enumerate(SIZES) if position < size) if position < SIZES[-1] else 3
    state = State(
        "record", "credit", position, "", datetime(2026, 3, 1, tzinfo=UTC), sync_id or f"sync {number}", content or "c"
    )
    return Leaf(position, state, hash_of("acme", position, state))


LEAVES = [leaf(position) for position in range(SIZES[-1])]


def commitment(number: int) -> Commitment:
    frontier = Frontier().extend(item.stored_hash for item in LEAVES[: SIZES[number]])
    return Commitment(
        10 * number, f"sync {number}", SIZES[number], frontier.root().hex(), 1, "", frontier=tuple(frontier.peaks)
    )


COMMITMENTS = [commitment(number) for number in range(3)]


def verify(leaves: Sequence[Leaf], commitments: Sequence[Commitment] = COMMITMENTS) -> LogReport:
    return verify_log("acme", leaves, commitments)


def found(report: LogReport) -> list[tuple[str, int, int]]:
    return [(damage.kind, damage.first, damage.last) for damage in report.damages]


def test_a_log_as_it_was_committed_has_no_damage() -> None:
    report = verify(LEAVES)
    assert (report.damages, report.leaves, report.committed, report.commitments) == ([], 24, 24, 3)
    assert report.last is COMMITMENTS[2]


def test_states_behind_the_last_commitment_are_no_damage() -> None:
    report = verify([*LEAVES, leaf(24, sync_id="interrupted")])
    assert (report.damages, report.leaves, report.committed) == ([], 25, 24)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        pytest.param(0, [("root", 0, 3)], id="in the first full subtree of the first commitment"),
        pytest.param(4, [("root", 4, 4)], id="the peak is the leaf itself"),
        pytest.param(7, [("root", 5, 7)], id="in a subtree that began before the commitment"),
        pytest.param(10, [("root", 10, 10)], id="the last leaf of the second commitment"),
        pytest.param(17, [("root", 16, 23)], id="in the last full subtree of the third commitment"),
    ],
)
def test_a_leaf_that_was_changed_with_its_hash_is_narrowed_down_by_the_stored_frontier(
    position: int, expected: list[tuple[str, int, int]]
) -> None:
    forged = [*LEAVES]
    forged[position] = leaf(position, content="forged", sync_id=LEAVES[position].state.sync_id)
    assert found(verify(forged)) == expected


def test_without_a_frontier_the_whole_commitment_is_named_and_later_ones_cannot_be_told_apart() -> None:
    forged = [*LEAVES]
    forged[7] = leaf(7, content="forged")
    without = [replace(item, frontier=None) for item in COMMITMENTS]
    report = verify(forged, without)
    assert ("root", 5, 10) in found(report)
    assert {kind for kind, *_ in found(report)} == {"root", "frontier"}


@pytest.mark.parametrize(("position", "expected"), [(7, ("root", 5, 15)), (17, ("root", 16, 23))])
def test_the_root_after_an_entry_without_a_root_covers_the_states_of_both(
    position: int, expected: tuple[str, int, int]
) -> None:
    without_root = [COMMITMENTS[0], replace(COMMITMENTS[1], root=None), COMMITMENTS[2]]
    forged = [*LEAVES]
    forged[position] = leaf(position, content="forged")

    assert found(verify(LEAVES, without_root)) == []
    assert found(verify(forged, without_root)) == [expected]


def test_a_column_of_the_log_that_was_changed_alone_is_named_by_its_position() -> None:
    changed = LEAVES[7]._replace(state=replace(LEAVES[7].state, content="forged"))
    assert found(verify([*LEAVES[:7], changed, *LEAVES[8:]])) == [("changed leaf", 7, 7)]


def test_missing_leaves_are_named_and_the_commitments_after_them_are_still_verified() -> None:
    forged = [*LEAVES[:6], *LEAVES[8:]]
    forged[-1] = leaf(23, content="forged")
    assert found(verify(forged)) == [("missing leaves", 6, 7), ("root", 16, 23)]
    assert found(verify(LEAVES[:20])) == [("missing leaves", 20, 23)]


def test_a_commitment_of_fewer_states_than_before_is_damage() -> None:
    assert found(verify(LEAVES, [*COMMITMENTS, COMMITMENTS[0]])) == [("size", 5, 24)]


def test_a_state_of_a_sync_that_the_entry_does_not_name_is_damage() -> None:
    named = [*COMMITMENTS[:2], replace(COMMITMENTS[2], sync_id="another")]
    assert found(verify(LEAVES, named)) == [("sync", 11, 23)]
    recovered = [*COMMITMENTS[:2], replace(COMMITMENTS[2], sync_id="another", syncs=("sync 2",))]
    assert found(verify(LEAVES, recovered)) == []


def test_states_that_a_person_accepted_need_no_sync_and_no_later_entry_hides_them() -> None:
    first, second, third = COMMITMENTS
    accepted = (AcceptedRange(6, 10, second.sequence),)
    acceptance = replace(second, sync_id="", syncs=(), accepted=accepted, is_acceptance=True)
    later = replace(third, accepted=accepted)

    assert found(verify(LEAVES, [first, replace(acceptance, syncs=("sync 1",)), later])) == []  # the sync is under way
    assert found(verify(LEAVES, [first, acceptance, later])) == [("sync", 5, 10)]  # of the state at 5
    whole = replace(acceptance, accepted=(AcceptedRange(5, 10, second.sequence),))
    assert found(verify(LEAVES, [first, whole, replace(third, accepted=whole.accepted)])) == []
    assert found(verify(LEAVES, [first, whole, third])) == [("acceptance", 5, 10)]
    assert found(verify(LEAVES, [first, replace(whole, is_acceptance=False), third]))[0] == ("acceptance", 5, 10)


def test_a_stored_frontier_that_was_changed_is_damage() -> None:
    forged = replace(COMMITMENTS[1], frontier=(b"\0" * 32, *(COMMITMENTS[1].frontier or ())[1:]))
    assert found(verify(LEAVES, [COMMITMENTS[0], forged, COMMITMENTS[2]])) == [("frontier", 5, 10)]
