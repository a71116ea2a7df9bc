"""When a tenant is stale."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from verifywise_mlflow.tenants.freshness import describe_staleness, stage_freshness
from verifywise_mlflow.tenants.intervals import Intervals

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURLY = Intervals()


def staleness(
    *last_completed: datetime | None, intervals: Intervals = HOURLY, known_since: datetime = NOW - timedelta(days=9)
) -> str | None:
    stages = {f"stage-{number}": at for number, at in enumerate(last_completed)}
    return describe_staleness(stage_freshness(stages, intervals, known_since=known_since, now=NOW))


def test_a_stage_is_stale_two_intervals_and_ten_minutes_after_its_last_completion() -> None:
    fresh, stale = NOW - timedelta(minutes=130), NOW - timedelta(minutes=131)

    assert staleness(fresh, fresh) is None
    assert staleness(fresh, stale, None, stale) == (
        "stale stages: stage-1, stage-3 (last completed 2026-03-01 09:49 UTC); stage-2 (never completed)"
    )


def test_the_age_of_a_stage_that_was_never_completed_counts_from_when_the_tenant_was_added() -> None:
    assert staleness(None, known_since=NOW - timedelta(minutes=130)) is None
    assert staleness(None, known_since=NOW - timedelta(minutes=131)) == "stale stages: stage-0 (never completed)"


def test_a_tenants_own_stale_after_replaces_the_default() -> None:
    intervals = Intervals.model_validate({"stale_after": "1d"})
    assert staleness(NOW - timedelta(days=1), intervals=intervals) is None
    assert staleness(NOW - timedelta(days=1, seconds=1), intervals=intervals) is not None
    with pytest.raises(ValidationError, match="stale_after is not longer than reconcile"):
        Intervals.model_validate({"reconcile": "1d", "stale_after": "1d"})


def test_an_interval_may_be_as_long_as_the_file_allows() -> None:
    assert staleness(NOW, intervals=Intervals.model_validate({"reconcile": "999999999d"})) is None
