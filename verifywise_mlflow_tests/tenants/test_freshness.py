"""When a tenant is late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from verifywise_mlflow.tenants.freshness import ages, told
from verifywise_mlflow.tenants.tenant import Intervals

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURLY = Intervals()


def said(
    *gone_through: datetime | None, intervals: Intervals = HOURLY, known_since: datetime = NOW - timedelta(days=9)
) -> str | None:
    stages = {f"stage-{number}": at for number, at in enumerate(gone_through)}
    return told(ages(stages, intervals, known_since=known_since, now=NOW))


def test_a_stage_is_late_when_two_intervals_and_ten_minutes_have_passed_since_it_was_gone_through() -> None:
    in_time, late = NOW - timedelta(minutes=130), NOW - timedelta(minutes=131)

    assert said(in_time, in_time) is None
    assert said(in_time, late, None, late) == (
        "not gone through in time: stage-1, stage-3, not since 2026-03-01 09:49 UTC; stage-2, not ever"
    )


def test_what_was_never_gone_through_is_as_old_as_the_tenant() -> None:
    assert said(None, known_since=NOW - timedelta(minutes=130)) is None
    assert said(None, known_since=NOW - timedelta(minutes=131)) == "not gone through in time: stage-0, not ever"


def test_a_tenants_own_late_after_counts_in_the_place_of_that() -> None:
    a_day = Intervals.model_validate({"late_after": "1d"})
    assert said(NOW - timedelta(days=1), intervals=a_day) is None
    assert said(NOW - timedelta(days=1, seconds=1), intervals=a_day) is not None
    with pytest.raises(ValidationError, match="longer than reconcile"):
        Intervals.model_validate({"reconcile": "1d", "late_after": "1d"})


def test_an_interval_may_be_as_long_as_the_file_takes_it() -> None:
    assert said(NOW, intervals=Intervals.model_validate({"reconcile": "999999999d"})) is None
