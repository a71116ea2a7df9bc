"""The decisions of a polling sensor's tick: due tenants, their order, back-off, deduplication and the cursor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.defs.jitter import is_turn
from verifywise_mlflow.defs.sensors.poll_cursor import FailureStreak, PollCursor
from verifywise_mlflow.defs.sensors.poll_decision import (
    FAILURES_BEFORE_REPORT,
    MAX_BACK_OFF,
    Decision,
    PollFailed,
    PollResult,
    PollSucceeded,
    back_off,
    decide,
    due_tenants,
)
from verifywise_mlflow.defs.sensors.tick_limit import MAX_SYNCS_PER_TICK

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
UNCHANGED, CHANGED, SERVER_DOWN = PollSucceeded(None), PollSucceeded("1700"), PollFailed("no answer in time")


def tick(
    cursor: PollCursor, results: Mapping[str, PollResult], *, minute: int = 0, in_flight: set[str] | None = None
) -> Decision:
    """Decide about tenants that are all polled every minute and are all due."""
    intervals = dict.fromkeys(results, MINUTE)
    return decide(cursor, START + minute * MINUTE, intervals, list(results), results, in_flight or set())


@given(
    tenant_id=st.text(min_size=1, max_size=20),
    minutes=st.integers(1, 120),
    gaps=st.lists(st.integers(20, 200), min_size=1, max_size=60),
)
def test_a_tenant_gets_one_turn_per_interval_however_ticks_drift(tenant_id: str, minutes: int, gaps: list[int]) -> None:
    interval = timedelta(minutes=minutes)
    last, turns = START, 0
    for gap in gaps:
        now = last + timedelta(seconds=gap)
        turns += is_turn(tenant_id, interval, last=last, now=now)
        last = now

    elapsed_intervals = (last - START) // interval
    longest_gap = timedelta(seconds=max(gaps))
    if longest_gap <= interval:
        assert elapsed_intervals <= turns <= elapsed_intervals + 1
    else:
        assert turns <= len(gaps)


def test_tenants_with_the_same_interval_are_spread_over_it() -> None:
    intervals = {f"tenant-{index}": timedelta(hours=1) for index in range(6_000)}
    due_now = due_tenants(intervals, PollCursor(ticked_at=START), START + MINUTE)
    assert 50 < len(due_now) < 200  # about a sixtieth of them


def test_the_first_tick_polls_every_tenant() -> None:
    assert due_tenants({"acme": timedelta(days=7)}, PollCursor(), START) == ["acme"]


def test_pending_tenants_come_first_and_failing_tenants_last() -> None:
    failing = {"down": FailureStreak(1, 0, 0)}
    cursor = PollCursor(ticked_at=START, pending=("late", "removed", "later"), failing=failing)
    order = due_tenants(dict.fromkeys(["down", "well", "later", "late"], MINUTE), cursor, START + MINUTE)
    assert order == ["late", "later", "well", "down"]


def test_a_tenant_that_was_not_polled_stays_pending_and_keeps_its_history() -> None:
    before = PollCursor(failing={"slow": FailureStreak(4, 0, 0)}, requested={"slow": "1699"})
    intervals = dict.fromkeys(["acme", "slow"], MINUTE)
    decision = decide(before, START, intervals, ["acme", "slow"], {"acme": UNCHANGED}, set())
    assert decision.cursor == PollCursor(
        ticked_at=START, pending=("slow",), failing=before.failing, requested=before.requested
    )
    assert "did not get to 1, which come first in the next tick" in decision.summary


def test_a_failing_tenant_backs_off_and_is_never_reported_as_read() -> None:
    cursor, polled_at = PollCursor(), []
    for minute in range(120):
        if due_tenants({"acme": MINUTE}, cursor, START + minute * MINUTE):
            polled_at.append(minute)
            decision = tick(cursor, {"acme": SERVER_DOWN}, minute=minute)
            assert "1 tenant due: read 0, requested 0 syncs" in decision.summary
            assert "could not read 1" in decision.summary
            cursor = decision.cursor
        else:
            cursor = cursor.model_copy(update={"ticked_at": START + minute * MINUTE})
    gaps = [later - earlier for earlier, later in pairwise(polled_at)]
    assert gaps == sorted(gaps)
    assert gaps[0] <= 2
    assert 15 <= gaps[-1] <= 19
    assert cursor.failing["acme"][:2] == (len(polled_at), int(START.timestamp()))


@given(
    tenant_id=st.text(max_size=20),
    seconds=st.integers(1, 999_999_999 * 86_400),
    failures=st.integers(1, 10**9),
)
def test_a_back_off_is_never_shorter_than_the_interval_and_is_limited(
    tenant_id: str, seconds: int, failures: int
) -> None:
    interval = timedelta(seconds=seconds)
    wait = back_off(tenant_id, interval, failures)
    shortest = min(interval, timedelta(days=365))
    assert shortest <= wait <= 1.25 * max(shortest, MAX_BACK_OFF)


def test_jitter_separates_tenants_that_failed_together() -> None:
    waits = {back_off(f"tenant-{index}", MINUTE, 10) // MINUTE for index in range(50)}
    assert waits == {15, 16, 17, 18}


def test_the_third_failure_in_a_row_is_reported_once_and_so_is_the_recovery() -> None:
    cursor, reports = PollCursor(), []
    for minute in range(5):
        decision = tick(cursor, {"acme": SERVER_DOWN}, minute=minute)
        reports.append(dict(decision.became_unreachable))
        cursor = decision.cursor
    recovery = tick(cursor, {"acme": UNCHANGED}, minute=5)

    assert reports == [{}, {}, {"acme": "no answer in time"}, {}, {}]
    assert recovery.recovered["acme"].failures == 5 > FAILURES_BEFORE_REPORT
    assert recovery.cursor.failing == {}


def test_the_same_change_is_deduplicated_until_a_sync_has_stored_it() -> None:
    first = tick(PollCursor(), {"acme": CHANGED})
    second_tick = tick(first.cursor, {"acme": CHANGED})
    failed = tick(second_tick.cursor, {"acme": SERVER_DOWN})
    newer = tick(failed.cursor, {"acme": PollSucceeded("1800")})
    stored = tick(newer.cursor, {"acme": UNCHANGED})
    requests = [decision.tenants_to_sync for decision in (first, second_tick, failed, newer, stored)]
    assert requests == [("acme",), (), (), ("acme",), ()]
    assert stored.cursor.requested == {}


def test_a_change_of_a_tenant_with_a_sync_in_flight_waits_for_its_end() -> None:
    during = tick(PollCursor(), {"acme": CHANGED}, in_flight={"acme"})
    assert during.tenants_to_sync == ()
    assert during.cursor.pending == ("acme",)
    assert tick(during.cursor, {"acme": CHANGED}).tenants_to_sync == ("acme",)


def test_a_tick_requests_a_limited_number_of_syncs_and_the_next_one_requests_the_rest() -> None:
    all_changed = {f"tenant-{index}": CHANGED for index in range(MAX_SYNCS_PER_TICK + 7)}
    first = tick(PollCursor(), all_changed)
    assert len(first.tenants_to_sync) == MAX_SYNCS_PER_TICK
    assert "requested 50 syncs" in first.summary
    assert "postponed 7 with changes" in first.summary
    second = tick(first.cursor, dict.fromkeys(first.cursor.pending, CHANGED))
    assert set(first.tenants_to_sync) | set(second.tenants_to_sync) == set(all_changed)
    assert len(second.tenants_to_sync) == 7


def test_the_cursor_of_500_tenants_is_small_and_drops_removed_tenants() -> None:
    names = [f"tenant-{index:03}" for index in range(500)]
    all_well = tick(PollCursor(), dict.fromkeys(names, UNCHANGED)).cursor
    all_failing = tick(PollCursor(), dict.fromkeys(names, SERVER_DOWN)).cursor
    assert len(all_well.to_json()) < 100
    assert len(all_failing.to_json()) < 25_000
    assert PollCursor.from_json(all_failing.to_json()) == all_failing

    after_removal = decide(all_failing, START, {"tenant-000": MINUTE}, [], {}, set()).cursor
    assert list(after_removal.failing) == ["tenant-000"]


@pytest.mark.parametrize("text", [None, "", "acme", "[]", '{"ticked_at": "yesterday"}', '{"failing": {"a": [1]}}'])
def test_a_cursor_that_cannot_be_parsed_is_replaced_by_an_empty_one(text: str | None) -> None:
    assert PollCursor.from_json(text) == PollCursor()


def test_a_cursor_with_unknown_fields_of_another_release_is_still_used() -> None:
    text = '{"ticked_at":"2026-03-01T00:00:00Z","first_not_reached":"globex"}'
    assert PollCursor.from_json(text) == PollCursor(ticked_at=START)
