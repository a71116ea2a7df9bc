"""For which tenants with hints a targeted sync is requested."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from verifywise_mlflow.defs.run_queue.active_runs import HintFollowers
from verifywise_mlflow.defs.sensors.hint_cursor import HintCursor
from verifywise_mlflow.defs.sensors.hint_decision import HintDecision, decide
from verifywise_mlflow.defs.sensors.tick_limit import MAX_SYNCS_PER_TICK
from verifywise_mlflow.persistence.repositories.change_hints import TenantHints

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
NOBODY: frozenset[str] = frozenset()
ACME = frozenset(("acme",))
IDLE = HintFollowers(NOBODY, NOBODY)
WAITING = HintFollowers(ACME, NOBODY)
RUNNING = HintFollowers(NOBODY, ACME)
FAILED = HintFollowers(NOBODY, NOBODY, ACME)


def hints(revision: int, tenant_id: str = "acme", received_at: datetime = NOW) -> TenantHints:
    return TenantHints(tenant_id, revision, received_at, received_at)


def tick(
    cursor: HintCursor,
    *pending: TenantHints,
    followers: HintFollowers = IDLE,
    seconds: float = 0,
    tenants: frozenset[str] = ACME,
) -> HintDecision:
    now = NOW + timedelta(seconds=seconds)
    stored = HintCursor.from_json(cursor.to_json())
    return decide(stored, pending, tenants, followers, now)


def test_a_hint_requests_one_sync_and_a_newer_one_another() -> None:
    first = tick(HintCursor(), hints(7))
    assert list(first.run_keys) == ["acme"]
    assert tick(first.cursor, hints(7), followers=WAITING).run_keys == {}
    assert tick(first.cursor, hints(7), followers=RUNNING).run_keys == {}

    newer = tick(first.cursor, hints(8), followers=RUNNING)
    assert list(newer.run_keys) == ["acme"], "the running sync may have read the object before it changed again"
    assert newer.run_keys != first.run_keys, "else Dagster would drop the request as a repetition"


def test_a_sync_that_waits_follows_the_hints_that_arrive_meanwhile() -> None:
    first = tick(HintCursor(), hints(7))
    burst = tick(first.cursor, hints(900), followers=WAITING)
    assert burst.run_keys == {}
    assert tick(burst.cursor, hints(900), followers=RUNNING).run_keys == {}, "the run began after the burst"


def test_a_hint_that_a_sync_left_behind_is_followed_again_a_minute_later() -> None:
    first = tick(HintCursor(), hints(7))
    assert tick(first.cursor, hints(7), seconds=59).run_keys == {}
    again = tick(first.cursor, hints(7), seconds=60)
    assert list(again.run_keys) == ["acme"]
    assert again.run_keys != first.run_keys


def test_after_failures_new_events_wait_for_the_back_off_which_grows() -> None:
    cursor, requested_at = tick(HintCursor(), hints(7)).cursor, []
    for second in range(0, 3_600, 10):  # an event every ten seconds
        decision = tick(cursor, hints(8 + second), followers=FAILED, seconds=second)
        cursor = decision.cursor
        if decision.run_keys:
            requested_at.append(second)
    assert requested_at == [60, 180, 420, 900, 1_800, 2_700]

    assert tick(cursor, hints(9_000), followers=RUNNING, seconds=2_710).run_keys == {}, "the retry may fail, too"
    recovered = tick(cursor, hints(9_000), seconds=2_720)
    assert list(recovered.run_keys) == ["acme"]
    assert recovered.cursor.requested["acme"].retries == 0


def test_tenants_that_are_not_synced_are_ignored_and_those_without_hints_forgotten() -> None:
    first = tick(HintCursor(), hints(7), hints(9, "removed"))
    assert first.cursor.requested.keys() == {"acme"}
    assert tick(first.cursor).cursor == HintCursor()


def test_a_tick_requests_a_limited_number_of_syncs_oldest_hints_first() -> None:
    names = [f"tenant-{number}" for number in range(MAX_SYNCS_PER_TICK + 1)]
    pending = [hints(number, name, NOW - timedelta(seconds=number)) for number, name in enumerate(names)]
    first = tick(HintCursor(), *pending, tenants=frozenset(names))
    assert set(first.run_keys) == set(names[1:])
    assert list(tick(first.cursor, *pending, tenants=frozenset(names)).run_keys) == names[:1]


def test_a_cursor_that_cannot_be_parsed_is_empty() -> None:
    assert HintCursor.from_json('{"requested": {"acme": 7}}') == HintCursor.from_json(None) == HintCursor()
