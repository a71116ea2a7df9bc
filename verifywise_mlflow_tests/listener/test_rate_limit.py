"""A rate limit admits the requests of a minute at once, then one request after the other."""

from __future__ import annotations

import pytest

from verifywise_mlflow.listener.rate_limit import TokenBucket


def test_after_a_minutes_worth_the_next_one_waits_for_its_share_of_a_minute() -> None:
    bucket = TokenBucket(60, now=0)

    assert [bucket.take(0) for _ in range(60)] == [0] * 60
    assert bucket.take(0) == pytest.approx(1)
    assert bucket.take(0.4) == pytest.approx(0.6)
    assert bucket.take(1.01) == 0
    assert bucket.take(1.01) > 0.9


def test_a_long_silence_saves_no_more_than_a_minutes_worth() -> None:
    bucket = TokenBucket(60, now=0)

    assert sum(bucket.take(10_000) == 0 for _ in range(1_000)) == 60


def test_a_flood_of_an_hour_gets_what_the_rate_says() -> None:
    bucket = TokenBucket(600, now=0)

    admitted = sum(bucket.take(tenth / 10) == 0 for tenth in range(36_000) for _ in range(3))

    assert admitted == pytest.approx(600 * 60 + 600, abs=2)
