"""The schedules request a sync before a tenant's data becomes too old, and never for all tenants at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.defs.schedules.overdue import LastRead, overdue_tenants

START = datetime(2026, 3, 1, tzinfo=UTC)
TICK, HOUR, DAY = timedelta(minutes=2), timedelta(hours=1), timedelta(days=1)


def simulate_ticks(tenants: int, *, last_read: datetime, hours: int) -> list[list[str]]:
    """Return the tenants of each tick. All tenants were last read together, and each requested sync ends at once."""
    read_times = dict.fromkeys((f"tenant-{index}" for index in range(tenants)), last_read)
    ticks = []
    for number in range(hours * HOUR // TICK):
        now = START + number * TICK
        overdue = overdue_tenants({name: LastRead(at, HOUR) for name, at in read_times.items()}, now, TICK)
        read_times.update(dict.fromkeys(overdue, now))
        ticks.append(overdue)
        if last_read == START:
            assert all(now - at <= HOUR for at in read_times.values()), "read within the hour"
    return ticks


def test_tenants_that_were_read_together_drift_apart_and_none_exceeds_its_interval() -> None:
    ticks = simulate_ticks(12, last_read=START, hours=24)
    assert all(24 <= sum(f"tenant-{index}" in overdue for overdue in ticks) <= 27 for index in range(12))
    assert max(map(len, ticks[:60])) > 6
    assert max(map(len, ticks[-60:])) <= 2, "after a day each comes at its own time"


def test_500_overdue_tenants_after_an_outage_are_spread_over_several_ticks() -> None:
    ticks = simulate_ticks(500, last_read=START - DAY, hours=3)
    assert max(map(len, ticks)) <= 34, "twice the 16 or 17 of an ordinary tick"
    assert len({name for overdue in ticks[:15] for name in overdue}) == 500, "within half an hour"


def test_tenants_that_were_never_read_come_first() -> None:
    last_reads = {
        "overdue": LastRead(START - 2 * HOUR, HOUR),
        "never": LastRead(None, HOUR),
        "early": LastRead(START, HOUR),
    }
    assert overdue_tenants(last_reads, START, timedelta(minutes=30)) == ["never", "overdue"]


@given(seconds=st.integers(1, 999_999_999 * 86_400), age=st.integers(0, 3_000 * 86_400))
def test_no_tenant_is_due_in_the_first_nine_tenths_of_any_interval(seconds: int, age: int) -> None:
    interval = timedelta(seconds=seconds)
    last_reads = {"acme": LastRead(START - timedelta(seconds=age), interval)}
    if overdue_tenants(last_reads, START, TICK):
        assert timedelta(seconds=age) >= 0.9 * interval
    else:
        assert timedelta(seconds=age) < interval
