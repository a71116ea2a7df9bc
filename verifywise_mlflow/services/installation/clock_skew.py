"""Compares another machine's clock with ours. Verdicts depend on dates, and staleness and waivers on times."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from verifywise_mlflow.services.installation.finding import Finding

MAX_SKEW: Final = timedelta(seconds=5)
"""The largest difference that is not a problem: a poll looks for changes after the newest time that it knows."""


def check_skew(
    subject: str, clock: datetime, before: datetime, after: datetime, precision: timedelta = timedelta(0)
) -> Finding:
    """Return a finding that states whether another clock agrees with ours.

    Args:
        subject: The name of the other clock, as the finding shows it.
        clock: The time that the other clock showed.
        before: Our time before the other clock was read.
        after: Our time after the other clock was read.
        precision: The resolution of the other clock. The time that it showed may be too early by up to this much.
    """
    behind, ahead = before - (clock + precision), clock - after
    if max(behind, ahead) <= MAX_SKEW:
        return Finding(subject, "ok", f"agrees with ours within {MAX_SKEW.total_seconds():.0f} s")
    direction = (
        f"{ahead.total_seconds():.0f} s ahead of" if ahead > behind else f"{behind.total_seconds():.0f} s behind"
    )
    remedy = "synchronize both machines' clocks, for example with chrony"
    return Finding(subject, "problem", f"is {direction} ours", remedy)
