"""Measures two sides in turn, so that other work on the machine disturbs both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measurement import TimedRead
from benchmarks.other_load import MAX_OTHER_CORES, OtherLoad
from benchmarks.tables import MarkdownTable, median_of

Measure = Callable[[], TimedRead]
Value = Callable[[TimedRead], float]


@dataclass(frozen=True, slots=True)
class Pair:
    """One measurement of each side, the second right after the first."""

    plain: TimedRead
    ours: TimedRead
    other_cores: float
    """The mean number of cores that other processes kept busy."""

    @property
    def is_disturbed(self) -> bool:
        """Whether other processes took too much of the machine."""
        return self.other_cores > MAX_OTHER_CORES


@dataclass(frozen=True, slots=True)
class Comparison:
    """All pairs of one comparison."""

    pairs: Sequence[Pair]

    def plain(self, value_of: Value) -> float:
        """Return the median of a figure of the plain side."""
        return median_of((pair.plain for pair in self.pairs), value_of)

    def ours(self, value_of: Value) -> float:
        """Return the median of a figure of ours."""
        return median_of((pair.ours for pair in self.pairs), value_of)

    def ratio(self, value_of: Value) -> str:
        """Return our median relative to the plain side's median. It is marked if it was disturbed."""
        mark = "*" if any(pair.is_disturbed for pair in self.pairs) else ""
        return f"{self.ours(value_of) / self.plain(value_of):.2f}{mark}"

    def summary(self, value_of: Value) -> str:
        """Return the seconds of both sides and their ratio, in a few characters."""
        return f"{self.plain(value_of):.1f} s, {self.ours(value_of):.1f} s: {self.ratio(value_of)}"


def overview(name: str, first_heading: str, cells: Mapping[tuple[str, float], str]) -> MarkdownTable:
    """Return a compact table: a row for each workload, a column for each round trip.

    Args:
        name: the name of the table.
        first_heading: what the workloads are.
        cells: the content, by workload and milliseconds of the round trip.
    """
    workloads = list(dict.fromkeys(workload for workload, _ in cells))
    round_trips = sorted({round_trip_ms for _, round_trip_ms in cells})
    rows = [
        (workload, *(cells.get((workload, round_trip_ms), "") for round_trip_ms in round_trips))
        for workload in workloads
    ]
    return MarkdownTable(name, (first_heading, *(f"{each:g} ms" for each in round_trips)), rows)


DISTURBED_NOTE = "\\* Other processes took more than a fifth of a core, in each of the attempts."


def compare(
    plain: Measure, ours: Measure, *, pairs: int, attempts: int, watch: Callable[[], OtherLoad] = OtherLoad
) -> Comparison:
    """Measure the sides in turn.

    Args:
        plain: measures the plain side.
        ours: measures our side.
        pairs: the number of pairs.
        attempts: the maximum number of measurements of a pair, which is measured until it is not disturbed. If each
            attempt is disturbed, the least disturbed attempt counts.
        watch: a function that begins to observe the load of other processes.
    """
    return Comparison([_least_disturbed(plain, ours, attempts, watch) for _ in range(pairs)])


def _least_disturbed(plain: Measure, ours: Measure, attempts: int, watch: Callable[[], OtherLoad]) -> Pair:
    best: Pair | None = None
    for _ in range(attempts):
        load = watch()
        plain_read, our_read = plain(), ours()
        pair = Pair(plain_read, our_read, load.cores())
        if best is None or pair.other_cores < best.other_cores:
            best = pair
        if not best.is_disturbed:
            break
    assert best is not None
    return best
