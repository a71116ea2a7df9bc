"""Measures the CPU time for a large tenants.yaml: to parse it, and to decide for each tenant whether it is due."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from verifywise_mlflow.defs.sensors.poll_cursor import PollCursor
from verifywise_mlflow.defs.sensors.poll_decision import PollResult, PollSucceeded, decide, due_tenants
from verifywise_mlflow.tenants.loading import load_tenants


def write_tenants(path: Path, tenants: int, settings: str = "") -> list[str]:
    """Write a file with this number of tenants, twenty on each server; return their names."""
    names = [f"tenant-{number:05}" for number in range(tenants)]
    lines = ["tenants:"]
    for number, name in enumerate(names):
        lines += [
            f"  {name}:",
            f"    tracking_uri: https://mlflow-{number // 20:03}.example.com",
            f"    workspace: team-{number:05}",
            f"    auth: {{kind: basic, username: governance, password: 'env:PASSWORD_OF_SERVER_{number // 20:03}'}}",
            *([f"    {settings}"] if settings else []),
        ]
    path.write_text("\n".join(lines) + "\n")
    return names


def measure(folder: Path, tenants: int = 1_000) -> Mapping[str, float]:
    """Return the milliseconds of CPU for each tenant."""
    path = folder / "tenants.yaml"
    names = write_tenants(path, tenants)
    began = time.process_time()
    assert len(load_tenants(path)) == tenants
    parse = time.process_time() - began

    intervals = dict.fromkeys(names, timedelta(minutes=1))
    now, ticks = datetime.now(UTC), 10
    cursor = PollCursor(ticked_at=now - timedelta(minutes=1))
    began = time.process_time()
    for _ in range(ticks):
        due = due_tenants(intervals, cursor, now)
        results: dict[str, PollResult] = dict.fromkeys(due, PollSucceeded(None))
        decision = decide(cursor, now, intervals, due, results, frozenset())
    decided = time.process_time() - began
    assert len(due) == tenants
    assert not decision.cursor.pending
    return {"parse_tenant": 1e3 * parse / tenants, "decide_tenant": 1e3 * decided / tenants / ticks}
