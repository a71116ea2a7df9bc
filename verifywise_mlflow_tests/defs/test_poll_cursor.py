"""What a sensor's tick decides: whose turn it is, who comes first, how far one backs off, what is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.defs.sensors.poll_cursor import (
    LONGEST_BACK_OFF,
    SILENT_AFTER,
    SYNCS_A_TICK,
    Answer,
    Answered,
    Cursor,
    Decision,
    Failing,
    Unread,
    back_off,
    decide,
    due,
    is_turn,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SAME, NEW, DOWN = Answered(None), Answered("1700"), Unread("no answer in time")


def tick(
    cursor: Cursor, answers: Mapping[str, Answer], *, minute: int = 0, in_flight: set[str] | None = None
) -> Decision:
    """Decide on tenants that are all polled each minute and all due."""
    intervals = dict.fromkeys(answers, MINUTE)
    return decide(cursor, START + minute * MINUTE, intervals, list(answers), answers, in_flight or set())


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
    intervals = {f"tenant-{index}": timedelta(hours=1) for index in range(6_000)}
    come = due(intervals, Cursor(ticked_at=START), START + MINUTE)
    assert 50 < len(come) < 200  # a sixtieth of them


def test_the_first_tick_asks_everybody() -> None:
    assert due({"acme": timedelta(days=7)}, Cursor(), START) == ["acme"]


def test_who_was_not_reached_comes_first_and_who_fails_comes_last() -> None:
    cursor = Cursor(ticked_at=START, owed=("late", "left", "later"), failing={"down": Failing(1, 0, 0)})
    order = due(dict.fromkeys(["down", "well", "later", "late"], MINUTE), cursor, START + MINUTE)
    assert order == ["late", "later", "well", "down"]


def test_who_is_not_answered_for_is_owed_and_keeps_its_history() -> None:
    before = Cursor(failing={"slow": Failing(4, 0, 0)}, told={"slow": "1699"})
    left = decide(before, START, dict.fromkeys(["acme", "slow"], MINUTE), ["acme", "slow"], {"acme": SAME}, set())
    assert left.cursor == Cursor(ticked_at=START, owed=("slow",), failing=before.failing, told=before.told)
    assert "1 were not reached and come first in the next tick" in left.summary


def test_a_failing_tenant_backs_off_and_is_never_called_unchanged() -> None:
    cursor, asked_at = Cursor(), []
    for minute in range(120):
        if due({"acme": MINUTE}, cursor, START + minute * MINUTE):
            asked_at.append(minute)
            decision = tick(cursor, {"acme": DOWN}, minute=minute)
            assert "0 answered" in decision.summary
            assert "1 could not be read" in decision.summary
            cursor = decision.cursor
        else:
            cursor = cursor.model_copy(update={"ticked_at": START + minute * MINUTE})
    gaps = [later - sooner for sooner, later in pairwise(asked_at)]
    assert gaps == sorted(gaps)
    assert gaps[0] <= 2
    assert 15 <= gaps[-1] <= 19
    assert cursor.failing["acme"][:2] == (len(asked_at), int(START.timestamp()))


@given(
    tenant_id=st.text(max_size=20),
    seconds=st.integers(1, 999_999_999 * 86_400),
    times=st.integers(1, 10**9),
)
def test_no_back_off_is_shorter_than_the_interval_or_out_of_bounds(tenant_id: str, seconds: int, times: int) -> None:
    interval = timedelta(seconds=seconds)
    wait = back_off(tenant_id, interval, times)
    assert (
        min(interval, timedelta(days=365)) <= wait <= 1.25 * max(min(interval, timedelta(days=365)), LONGEST_BACK_OFF)
    )


def test_tenants_that_fail_together_are_not_all_asked_again_together() -> None:
    waits = {back_off(f"tenant-{index}", MINUTE, 10) // MINUTE for index in range(50)}
    assert waits == {15, 16, 17, 18}


def test_the_third_failure_in_a_row_is_told_and_so_is_the_return() -> None:
    cursor, told = Cursor(), []
    for minute in range(5):
        decision = tick(cursor, {"acme": DOWN}, minute=minute)
        told.append(dict(decision.fell_silent))
        cursor = decision.cursor
    back = tick(cursor, {"acme": SAME}, minute=5)

    assert told == [{}, {}, {"acme": "no answer in time"}, {}, {}]
    assert back.came_back["acme"].times == 5 > SILENT_AFTER
    assert back.cursor.failing == {}


def test_the_same_news_asks_for_one_sync_until_a_sync_has_seen_it() -> None:
    first = tick(Cursor(), {"acme": NEW})
    again = tick(first.cursor, {"acme": NEW})
    unread = tick(again.cursor, {"acme": DOWN})
    newer = tick(unread.cursor, {"acme": Answered("1800")})
    seen = tick(newer.cursor, {"acme": SAME})
    assert [decision.sync for decision in (first, again, unread, newer, seen)] == [("acme",), (), (), ("acme",), ()]
    assert seen.cursor.told == {}


def test_news_of_a_tenant_with_a_sync_under_way_waits_for_its_end() -> None:
    during = tick(Cursor(), {"acme": NEW}, in_flight={"acme"})
    assert during.sync == ()
    assert during.cursor.owed == ("acme",)
    assert tick(during.cursor, {"acme": NEW}).sync == ("acme",)


def test_a_tick_asks_for_a_few_syncs_and_the_next_one_for_more() -> None:
    everybody = {f"tenant-{index}": NEW for index in range(SYNCS_A_TICK + 7)}
    first = tick(Cursor(), everybody)
    assert len(first.sync) == SYNCS_A_TICK
    assert "7 have news and wait" in first.summary
    second = tick(first.cursor, dict.fromkeys(first.cursor.owed, NEW))
    assert set(first.sync) | set(second.sync) == set(everybody)
    assert len(second.sync) == 7


def test_the_cursor_of_500_tenants_is_small_and_forgets_those_that_left() -> None:
    names = [f"tenant-{index:03}" for index in range(500)]
    well = tick(Cursor(), dict.fromkeys(names, SAME)).cursor
    broken = tick(Cursor(), dict.fromkeys(names, DOWN)).cursor
    assert len(well.written()) < 100
    assert len(broken.written()) < 25_000
    assert Cursor.read(broken.written()) == broken

    left = decide(broken, START, {"tenant-000": MINUTE}, [], {}, set()).cursor
    assert list(left.failing) == ["tenant-000"]


@pytest.mark.parametrize("written", [None, "", "acme", "[]", '{"ticked_at": "yesterday"}', '{"failing": {"a": [1]}}'])
def test_a_cursor_that_is_not_understood_starts_over(written: str | None) -> None:
    assert Cursor.read(written) == Cursor()


def test_a_cursor_of_an_older_release_is_gone_on_with() -> None:
    older = '{"ticked_at":"2026-03-01T00:00:00Z","first_not_reached":"globex"}'
    assert Cursor.read(older) == Cursor(ticked_at=START)
