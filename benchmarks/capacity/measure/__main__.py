"""``python -m benchmarks.capacity.measure``: measures the constants again, next to the constants in use."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.capacity.measure import partitions, polls, services, store, tenants_file
from benchmarks.capacity.service_times import Constant, constants
from benchmarks.tables import RESULTS, MarkdownTable, publish

SERVICES, PARTITIONS = "services", "partitions"
PARTS: Mapping[str, Callable[[Path], Mapping[str, float]]] = {
    "file": tenants_file.measure,
    "store": lambda _: store.measure(),
    "polls": polls.measure,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the parts that the command line names, print and save."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity.measure", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = (*PARTS, SERVICES, PARTITIONS)
    parser.add_argument("parts", nargs="*", help=f"{', '.join(names)}; all by default")
    parser.add_argument("--runs", type=int, default=30, help="runs of each kind, of the part services (30)")
    parser.add_argument("--tenants", type=int, default=10_000, help="of the part partitions (10,000)")
    arguments = parser.parse_args(argv)
    chosen = arguments.parts or names
    if unknown := set(chosen).difference(names):
        parser.error(f"there is no part of that name: {', '.join(sorted(unknown))}")
    for part in chosen:
        with tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder:
            sys.stderr.write(f"measuring {part}; load of the machine {os.getloadavg()[0]:.1f} …\n")
            if part == PARTITIONS:
                timings = partitions.measure(Path(folder), arguments.tenants)
                table = partitions_table(arguments.tenants, timings)
                publish(RESULTS / "capacity-partitions.json", [table], dict(timings))
            else:
                home = Path(folder)
                measured = services.measure(home, arguments.runs) if part == SERVICES else PARTS[part](home)
                table = comparison_table(part, measured)
                publish(RESULTS / f"capacity-{part}.json", [table], dict(measured))
    return 0


def comparison_table(part: str, measured: Mapping[str, float]) -> MarkdownTable:
    """Return the measured values next to the constants in use."""
    in_use: Mapping[str, Constant] = {each.name: each for each in constants()}
    rows = [
        (name, f"{value:,.4g}", f"{in_use[name].value:,g} {in_use[name].unit}" if name in in_use else "")
        for name, value in measured.items()
    ]
    return MarkdownTable(f"capacity-measured-{part}", ("constant", "measured", "in use"), rows)


def partitions_table(tenants: int, timings: Mapping[str, partitions.Timing]) -> MarkdownTable:
    """Return the time that each operation takes."""
    rows = [
        (name, f"{wall:,.0f}" if not cpu else f"{wall:,.2f} s", f"{cpu:,.2f} s" if cpu else "")
        for name, (wall, cpu) in timings.items()
    ]
    return MarkdownTable("capacity-partitions", (f"{tenants:,} tenants", "time", "CPU"), rows)


if __name__ == "__main__":
    sys.exit(main())
