from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.normalizer.mapping.dates import _DATE, DateReading, days_of, read_date, strip_dates
from verifywise_mlflow_tests.support.record_inputs_factory import inputs, normalized, sentences


@pytest.mark.parametrize(
    ("text", "dated"),
    [
        ("DPIA done 2026-03-01", "2026-03-01"),
        ("2026/3/1", "2026-03-01"),
        ("completed (2026-03-01T10:00:00Z)", "2026-03-01"),
        ("done on 1 March 2026", "2026-03-01"),
        ("March 1st, 2026", "2026-03-01"),
        ("29 Feb 2028", "2028-02-29"),
        ("Sept 2026", "2026-09"),
        ("2026-03", "2026-03"),
        ("approved Q1 2026", "2026-Q1"),
        ("2026-Q4", "2026-Q4"),
        ("done 2026", "2026"),
        ("13/03/2026", "2026-03-13"),
        ("03/13/2026", "2026-03-13"),
        ("03.03.2026", "2026-03-03"),
        ("2026-03-01, that is 1 March 2026", "2026-03-01"),
        ("passed by Vera Bystrom 2026-03-01", "2026-03-01"),
        ("Dudley 2026-03-01", "2026-03-01"),
        ("done", None),
        ("Mr Marchant 20260", None),
        ("version 2026.1", "2026"),
        ("٢٠٢٦-٠٣", "2026-03"),
        ("Q1 ٢٠٢٦", "2026-Q1"),
        ("March २०२६", "2026-03"),
    ],
)
def test_a_date_keeps_the_precision_of_the_text(text: str, dated: str | None) -> None:
    assert read_date(text, years_alone=True) == DateReading(dated)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("01/03/2026", "'01/03/2026' is ambiguous: write year-month-day"),
        ("1.3.2026", "'1.3.2026' is ambiguous: write year-month-day"),
        ("13/03/26", "'13/03/26' has no four-digit year"),
        ("2026-02-30", "'2026-02-30' is not a calendar day"),
        ("31 April 2026", "'31 April 2026' is not a calendar day"),
        ("13/13/2026", "'13/13/2026' is not a calendar day"),
        ("2026-13", "'2026-13' is not a month"),
        ("0000-01-01", "'0000-01-01' is not a calendar day"),
        ("0000-01", "'0000-01' has the year 0"),
        ("valid until 2027-01-01", "'2027-01-01' is a deadline"),
        ("drift report, next on 2026-05-01", "'2026-05-01' is a deadline"),
        ("SEC-14, planned 2026-03-01", "'2026-03-01' is a deadline"),
        ("gültig bis zum 2027-01-01", "'2027-01-01' is a deadline"),
        ("2026-03-01 to 2026-04-01", "it contains several dates: 2026-03-01, 2026-04-01"),
    ],
)
def test_an_uncertain_date_is_not_read_and_the_reason_is_reported(text: str, problem: str) -> None:
    assert read_date(text, years_alone=True) == DateReading(None, problem)


def test_a_year_alone_is_not_a_date_in_free_text() -> None:
    assert read_date("Board of 2026", years_alone=False) == DateReading()


@given(st.dates())
def test_every_calendar_day_round_trips(day: object) -> None:
    assert read_date(f"done {day}.", years_alone=True) == DateReading(str(day))


@given(st.text() | st.from_regex(r"[0-9]{1,4}[-./ ][0-9a-zA-Z]{1,9}[-./ ][0-9]{1,4}"))
def test_any_text_can_be_searched_for_a_date(text: str) -> None:
    reading = read_date(text, years_alone=True)

    assert reading.dated is None or (reading.problem is None and reading.dated.isascii() and days_of(reading.dated))


def test_the_date_of_a_completed_assessment_is_in_its_origin() -> None:
    result = normalized(inputs(version_tags={"dpia": "DPIA done 2026-03-01"}))

    origin = result.origins["privacy_assessment_status"]
    assert result.record.privacy_assessment_status == "completed"
    assert (origin.raw, origin.dated) == ("DPIA done 2026-03-01", "2026-03-01")
    assert result.findings == ()


def test_an_approver_stays_as_written_and_the_approval_date_is_in_its_origin() -> None:
    result = normalized(inputs(version_tags={"approved_by": "Ada Lovelace, 2026-03-01"}))

    assert result.record.compliance_approver == "Ada Lovelace, 2026-03-01"
    assert result.origins["compliance_approver"].dated == "2026-03-01"


def test_an_ambiguous_date_is_reported_and_the_status_stays() -> None:
    result = normalized(inputs(version_tags={"dpia": "done 01/03/2026"}))

    assert result.record.privacy_assessment_status == "completed"
    assert result.origins["privacy_assessment_status"].dated is None
    assert [(finding.kind, finding.field) for finding in result.findings] == [
        ("unreadable date", "privacy_assessment_status")
    ]
    assert sentences(result) == [
        "privacy_assessment_status: the date in version tag 'dpia' cannot be read for certain: "
        "'01/03/2026' is ambiguous: write year-month-day"
    ]


def test_the_date_in_an_unknown_value_is_ignored() -> None:
    result = normalized(inputs(version_tags={"dpia": "to be completed by 2026-12-31"}))

    assert result.record.privacy_assessment_status == "to be completed by 2026-12-31"
    assert result.origins["privacy_assessment_status"].dated is None
    assert [finding.kind for finding in result.findings] == ["unknown value"]


@pytest.mark.parametrize(
    ("dated", "days"),
    [
        ("2024-02-29", ("2024-02-29", "2024-02-29")),
        ("2024-02", ("2024-02-01", "2024-02-29")),
        ("2026-Q4", ("2026-10-01", "2026-12-31")),
        ("2026", ("2026-01-01", "2026-12-31")),
    ],
)
def test_a_date_stands_for_its_first_to_its_last_day(dated: str, days: tuple[str, str]) -> None:
    assert days_of(dated) == tuple(map(date.fromisoformat, days))


@pytest.mark.parametrize("dated", ["", "2026-13", "2026-02-30", "0000", "2026-Q5", "soon"])
def test_another_text_stands_for_no_day(dated: str) -> None:
    assert days_of(dated) is None


_DATE_PARTS = (
    "2026",
    "20261",
    "1999",
    "q1",
    "Q3",
    "q12026",
    "12",
    "3",
    "-",
    "/",
    ".",
    " ",
    "T",
    "march",
    "Sept.",
    "1st",
    "٣",
)


@given(st.lists(st.sampled_from(_DATE_PARTS), max_size=7).map("".join))
def test_no_date_is_missed_by_the_search_for_digits_before_it(text: str) -> None:
    assert strip_dates(text) == _DATE.sub(" ", text)
