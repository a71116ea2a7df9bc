"""``python -m benchmarks.capacity``: computes the load of a number of tenants, and simulates days of 10,000 tenants."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

from benchmarks.capacity.comparison import (
    Simulated,
    agreement_table,
    agreements,
    breaks_table,
    constants_table,
    days_table,
    simulate,
    sizes_table,
)
from benchmarks.capacity.model import DEFAULT, fitted, shards
from benchmarks.capacity.simulation import Scenario
from benchmarks.capacity.workload import Workload
from benchmarks.tables import RESULTS, publish

_THRIFTY_RECONCILE = timedelta(hours=4)
_NOON, _AFTERNOON = 12 * 3_600.0, 15 * 3_600.0
_OVERLOADED_HOURS = 6.0
"""Some hours suffice to show how an overloaded installation behaves."""


def main(argv: Sequence[str] | None = None) -> int:
    """Compute, simulate, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000, help="tenants to simulate (10,000)")
    parser.add_argument("--versions", type=int, default=200, help="versions per tenant (200)")
    parser.add_argument("--changes", type=float, default=2.0, help="changes per tenant and day (2)")
    parser.add_argument("--hours", type=float, default=24.0, help="hours to simulate (24)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (1)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many at a time (all cores)")
    parser.add_argument("--json", type=Path, default=RESULTS / "capacity.json", help="where the figures go")
    arguments = parser.parse_args(argv)
    workload = Workload(arguments.tenants, arguments.versions, arguments.changes)
    count, model = shards(workload)
    ordinary = Scenario(seconds=3_600 * arguments.hours, seed=arguments.seed)
    incidents = Scenario(
        seconds=ordinary.seconds,
        seed=arguments.seed,
        backfill_at=min(_NOON, ordinary.seconds / 4),
        outage=(min(_AFTERNOON, ordinary.seconds / 2), min(_AFTERNOON, ordinary.seconds / 2) + 3_600),
    )
    single = Scenario(seconds=min(ordinary.seconds, 3_600 * _OVERLOADED_HOURS), seed=arguments.seed)

    def simulated(title: str, installations: int, scenario: Scenario) -> Simulated:
        sys.stderr.write(f"simulating {workload.tenants:,} tenants: {title} …\n")
        each = model if installations == count else fitted(workload)
        return simulate(each, installations, scenario, processes=arguments.processes)

    days = [
        (title, simulated(title, installations, scenario))
        for title, installations, scenario in (
            ("an ordinary day", count, ordinary),
            ("with a backfill, and a tenth of the servers lost for an hour", count, incidents),
            (f"on one installation, {single.seconds / 3_600:g} hours", 1, single),
        )
    ]
    thrifty = replace(workload, reconcile=_THRIFTY_RECONCILE)
    figures = {
        "loads of an installation": {resource.name: resource.load for resource in model.resources},
        "agreements": [asdict(each) for each in agreements(days[0][1])],
    }
    tables = [
        constants_table(),
        sizes_table("capacity-sizes", workload, DEFAULT),
        sizes_table("capacity-sizes-thrifty", thrifty, replace(DEFAULT, unchanged_run_days=1)),
        agreement_table(days[0][1]),
        days_table(days),
        breaks_table(workload),
    ]
    publish(arguments.json, tables, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
