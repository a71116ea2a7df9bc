"""Times as people write them, in local time, and ambiguous texts, which are refused instead of guessed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.common.moments import MomentError, parse_moment

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 29, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-03", "2026-03-02T23:00"),
        ("2026-07-03", "2026-07-02T22:00"),
        ("2026-03-03 14:30", "2026-03-03T13:30"),
        ("2026-03-03T14:30:15.5", "2026-03-03T13:30:15.5"),
        ("2026-03-03T14:30-05:00", "2026-03-03T19:30"),
        ("2026-03-03T14:30Z", "2026-03-03T14:30"),
        ("2026-03-03Z", "2026-03-03T00:00"),
        ("now", "2026-11-29T14:30"),
        (" Today ", "2026-11-28T23:00"),
        ("yesterday", "2026-11-27T23:00"),
        ("7d", "2026-11-22T14:30"),
        ("2w", "2026-11-15T14:30"),
        ("90min", "2026-11-29T13:00"),
        ("3 days ago", "2026-11-26T14:30"),
        ("a week ago", "2026-11-22T14:30"),
    ],
)
def test_a_text_without_a_zone_is_local_time(text: str, moment: str) -> None:
    assert parse_moment(text, NOW, zone=BERLIN) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("03/04/2026", "has several readings: write year, month and day"),
        ("3m", "has several readings: write days or weeks"),
        ("2 months ago", "has several readings: write days or weeks"),
        ("2026-10-25T02:30", "occurs twice in local time, since clocks were set back: 2026-10-25 00:30:00 UTC and"),
        ("2026-03-29T02:30", "does not exist in local time, since clocks were set forward"),
        ("2027-01-01", "2026-12-31 23:00:00 UTC is still to come: it is 2026-11-29 14:30:00 UTC now"),
        ("soon", "'soon' is not a time: write 2026-03-03,"),
        ("\x1b[31m", r"'\x1b[31m' is not a time"),
        ("2026-02-30", "is not a time"),
        ("0001-01-01T00:00+23:00", "is not a time"),
        ("7" * 5_000, "a text of 5,000 characters is not a time"),
        ("", "is not a time"),
    ],
)
def test_what_has_no_single_reading_is_refused_in_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(MomentError) as refusal:
        parse_moment(text, NOW, zone=BERLIN)

    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("zone", "day", "first"),
    [("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00"), ("America/Havana", "2026-11-01", "2026-11-01T04:00")],
)
def test_a_day_begins_with_its_first_moment_even_if_clocks_are_set_at_midnight(zone: str, day: str, first: str) -> None:
    assert parse_moment(day, NOW, zone=ZoneInfo(zone)) == datetime.fromisoformat(first).replace(tzinfo=UTC)


def test_a_time_to_come_is_accepted_on_request() -> None:
    assert parse_moment("2027-01-01Z", NOW, may_be_future=True) == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_local_time_is_that_of_the_environment() -> None:
    assert parse_moment("2026-03-03", NOW) == datetime(2026, 3, 2, 15, tzinfo=UTC)
    assert parse_moment("today", NOW) == datetime(2026, 11, 28, 15, tzinfo=UTC)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2026, 1, 1)), st.integers(-720, 720))
def test_a_time_with_a_zone_means_itself(moment: datetime, minutes: int) -> None:
    written = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    assert parse_moment(written.isoformat(), NOW, zone=BERLIN) == written


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    try:
        moment = parse_moment(text, NOW, zone=BERLIN)
    except MomentError:
        return
    assert moment.tzinfo is UTC
    assert moment <= NOW
