"""``benchmarks.backfill`` computes its figures correctly."""

from __future__ import annotations

import pytest

from benchmarks.backfill.observations import Run, other_cores, overlaps, runs_per_minute


def run(requested_at: float, began_at: float | None, ended_at: float | None, status: str = "SUCCESS") -> Run:
    return Run("acme", "backfill", status, requested_at, began_at, ended_at)


def test_a_backfill_that_slows_down_is_seen_in_its_fifths() -> None:
    read_times = [100.0 + 2 * number for number in range(1, 21)]
    assert runs_per_minute(100.0, read_times) == pytest.approx([30.0] * 5)

    slower = read_times[:16] + [read_times[15] + 6 * number for number in range(1, 5)]
    assert runs_per_minute(100.0, slower) == pytest.approx([30.0] * 4 + [10.0])

    assert runs_per_minute(100.0, []) == []


def test_other_load_is_attributed_to_the_fifth_in_which_it_ran() -> None:
    ends = [100.0 + 10 * number for number in range(1, 11)]
    idle_until_160 = [(100.0 + 10 * number, max(0.0, 5.0 * (number - 6))) for number in range(11)]

    assert other_cores(100.0, ends, idle_until_160) == pytest.approx([0.0, 0.0, 0.0, 0.5, 0.5])
    assert other_cores(100.0, [101.0] * 5, idle_until_160[:2]) == pytest.approx([0.0] * 5)


def test_concurrent_runs_of_a_tenant_are_counted() -> None:
    assert overlaps([run(0, 1, 5), run(0, 5, 9), run(0, None, None, "CANCELED")]) == 0
    assert overlaps([run(0, 1, 5), run(0, 4, 9), run(0, 8, None)]) == 2
    assert overlaps([run(0, 1, 100), run(0, 2, 3), run(0, 50, 60)]) == 2, "also those behind one that is over"
