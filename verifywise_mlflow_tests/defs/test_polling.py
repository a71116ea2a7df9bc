"""The sensor's turns: each tenant once an interval, spread out, and nobody forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.defs.polling import PollCursor, is_turn, rotated

START = datetime(2026, 3, 1, tzinfo=UTC)


@given(
    tenant_id=st.text(min_size=1, max_size=20),
    minutes=st.integers(1, 120),
    gaps=st.lists(st.integers(20, 200), min_size=1, max_size=60),
)
def test_a_tenant_gets_its_turns_however_ticks_drift(tenant_id: str, minutes: int, gaps: list[int]) -> None:
    interval = timedelta(minutes=minutes)
    last, turns = START, 0
    for gap in gaps:
        now = last + timedelta(seconds=gap)
        turns += is_turn(tenant_id, interval, last=last, now=now)
        last = now

    passed = (last - START) // interval
    longest = timedelta(seconds=max(gaps))
    if longest <= interval:
        assert passed <= turns <= passed + 1
    else:
        assert turns <= len(gaps)


def test_tenants_of_one_interval_do_not_all_come_at_once() -> None:
    hour = timedelta(hours=1)
    due = sum(is_turn(f"tenant-{index}", hour, last=START, now=START + timedelta(minutes=1)) for index in range(6_000))
    assert 50 < due < 200  # a sixtieth of them


def test_the_first_tick_polls_everybody() -> None:
    assert is_turn("acme", timedelta(days=7), last=None, now=START)


def test_the_next_poll_begins_where_the_last_one_stopped() -> None:
    assert rotated(["a", "b", "c"], first="b") == ["b", "c", "a"]
    assert rotated(["a", "b", "c"], first=None) == ["a", "b", "c"]
    assert rotated(["a", "c"], first="b") == ["c", "a"]
    assert rotated([], first="b") == []


def test_turns_that_time_was_too_short_for_are_still_to_be_taken() -> None:
    cut_short = PollCursor(ticked_at=START).after(START + timedelta(minutes=1), "globex")
    assert (cut_short.ticked_at, cut_short.first_not_reached) == (START, "globex")
    whole = cut_short.after(START + timedelta(minutes=2), None)
    assert (whole.ticked_at, whole.first_not_reached) == (START + timedelta(minutes=2), None)


@pytest.mark.parametrize("written", [None, "", "acme", "[]", '{"ticked_at": "yesterday"}'])
def test_a_cursor_of_another_release_starts_over(written: str | None) -> None:
    assert PollCursor.read(written) == PollCursor()


def test_a_cursor_comes_back_as_it_was_left() -> None:
    cursor = PollCursor(ticked_at=START, first_not_reached="globex")
    assert PollCursor.read(cursor.model_dump_json()) == cursor
