"""When a schedule asks for a sync: before what is known grows too old, and never for all tenants at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.defs.schedules.overdue import Knowledge, grown_old

START = datetime(2026, 3, 1, tzinfo=UTC)
TICK, HOUR, DAY = timedelta(minutes=2), timedelta(hours=1), timedelta(days=1)


def ticks_over(tenants: int, *, began: datetime, hours: int) -> list[list[str]]:
    """Let the schedule tick over tenants that were all read at once; a sync that it asks for is done at once."""
    read_at = dict.fromkeys((f"tenant-{index}" for index in range(tenants)), began)
    ticks = []
    for number in range(hours * HOUR // TICK):
        now = START + number * TICK
        asked = grown_old({name: Knowledge(at, HOUR) for name, at in read_at.items()}, now, TICK)
        read_at.update(dict.fromkeys(asked, now))
        ticks.append(asked)
        if began == START:
            assert all(now - at <= HOUR for at in read_at.values()), "seen within the hour"
    return ticks


def test_tenants_that_were_read_together_drift_apart_and_none_grows_older_than_its_interval() -> None:
    ticks = ticks_over(12, began=START, hours=24)
    assert all(24 <= sum(f"tenant-{index}" in asked for asked in ticks) <= 27 for index in range(12))
    assert max(map(len, ticks[:60])) > 6
    assert max(map(len, ticks[-60:])) <= 2, "by the evening they come at their own moments"


def test_500_tenants_after_an_outage_are_not_all_asked_for_at_once() -> None:
    ticks = ticks_over(500, began=START - DAY, hours=3)
    assert max(map(len, ticks)) <= 34, "twice the 16 or 17 of an ordinary tick"
    assert len({name for asked in ticks[:15] for name in asked}) == 500, "within half an hour"


def test_those_that_were_never_read_come_before_all_others() -> None:
    known = {
        "overdue": Knowledge(START - 2 * HOUR, HOUR),
        "never": Knowledge(None, HOUR),
        "early": Knowledge(START, HOUR),
    }
    assert grown_old(known, START, timedelta(minutes=30)) == ["never", "overdue"]


@given(seconds=st.integers(1, 999_999_999 * 86_400), age=st.integers(0, 3_000 * 86_400))
def test_nobody_is_asked_for_in_the_first_nine_tenths_of_any_interval(seconds: int, age: int) -> None:
    interval = timedelta(seconds=seconds)
    asked = grown_old({"acme": Knowledge(START - timedelta(seconds=age), interval)}, START, TICK)
    if asked:
        assert timedelta(seconds=age) >= 0.9 * interval
    else:
        assert timedelta(seconds=age) < interval
