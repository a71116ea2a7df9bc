"""Finds dates in free text, such as `DPIA done 2026-03-01` or `approved Q1 2026`; not ambiguous or planned dates."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import date

from verifywise_mlflow.common.value_object import value_object

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MAX_TEXT_LENGTH = 200
"""The number of characters of a text that are searched for a date; a tag may have 100,000 characters."""

_MONTH = rf"(?:{'|'.join(f'{month[:3]}(?:{month[3:]})?' for month in _MONTHS)}|sept)\.?"
_DATE = re.compile(
    rf"""
    \b(?: (?P<y1>\d{{4}})(?P<s1>[-./])(?P<m1>\d{{1,2}})(?P=s1)(?P<d1>\d{{1,2}})(?!\d)                # 2026-03-01
      (?:[T ]\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:\.\d{{1,9}})?)?\s?(?:Z|[+-]\d{{2}}:?\d{{2}})?)?
    | (?P<n1>\d{{1,2}})(?P<s2>[-./])(?P<n2>\d{{1,2}})(?P=s2)(?P<y2>\d{{2,4}})\b                # 01/03/2026
    | (?P<d3>\d{{1,2}})(?:\.|st|nd|rd|th)?\s(?P<m3>{_MONTH})\s(?P<y3>\d{{4}})\b                # 1 March 2026
    | (?P<m4>{_MONTH})\s(?:(?P<d4>\d{{1,2}})(?:st|nd|rd|th)?,?\s)?(?P<y4>\d{{4}})\b            # March 1, 2026
    | q(?P<q5>[1-4])[\s/-]?(?P<y5>\d{{4}})\b                                                   # Q1 2026
    | (?P<y6>\d{{4}})[\s/-]?q(?P<q6>[1-4])\b                                                   # 2026-Q1
    | (?P<y7>\d{{4}})-(?P<m7>\d{{2}})\b                                                        # 2026-03
    | (?P<y8>(?:19|20)\d{{2}})\b )                                                             # 2026
    """,
    re.IGNORECASE | re.VERBOSE,
)
_DIGITS = re.compile(r"\d(?:[-./]\d|\d{3}(?!\d)(?<!\d{5})|(?<=q\d)\d{4})", re.IGNORECASE)
"""Every date contains one of these parts: two digits around a separator, a number of four digits, or the digits of
``Q12026``. Most texts contain none of them, and this search takes a tenth of the time of a full search."""

_DEADLINE = re.compile(
    r"""
    \b(?:until|till|valid\s(?:to|through)|due|next|expir(?:y|es|ing)|before|by|deadline|planned|scheduled|start(?:s|ing)
        |begin(?:s|ning)|renewal|bis|fällig|jusqu'au|hasta|fino\sal|tot|até)\b
    [\s:(]*(?:on|at|is|for|date|am|zum|le|el|il|the)?[\s:(]*\Z
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Words before a date that mark it as the date of a deadline or a plan, not of a finished action."""
_MAX_WORDS_LENGTH = 40
"""The number of characters before a date that are searched for the words of ``_DEADLINE``."""

_DATED = re.compile(r"(?P<year>\d{4})(?:-Q(?P<quarter>[1-4])|-(?P<month>\d{2})(?:-(?P<day>\d{2}))?)?")


@value_object
class DateReading:
    """The date in a text."""

    dated: str | None = None
    """The date, as exact as in the text: ``2026-03-01``, ``2026-03``, ``2026-Q1`` or ``2026``; None if no date is
    certain."""
    problem: str | None = None
    """Why a date in the text could not be read; None if the date could be read, or if there is no date."""


def strip_dates(text: str) -> str:
    """Return the text with each date replaced by a space."""
    return _DATE.sub(" ", text) if _DIGITS.search(text) else text


def read_date(text: str, *, years_alone: bool) -> DateReading:
    """Return the date in a text.

    Args:
        text: the text as the customer wrote it; its first 200 characters are searched.
        years_alone: whether ``2026`` is a date. In free text, this number may also be a part of a name.
    """
    if not _DIGITS.search(text):
        return DateReading()
    readings = [
        (match[0], _read_match(match) if not _is_deadline(text, match) else DateReading(problem="is a deadline"))
        for match in _DATE.finditer(text[:_MAX_TEXT_LENGTH])
        if years_alone or match["y8"] is None
    ]
    problems = list(dict.fromkeys(f"{text!r} {reading.problem}" for text, reading in readings if reading.problem))
    dates = {reading.dated for _, reading in readings}
    if problems:
        return DateReading(problem="; ".join(problems))
    if len(dates) > 1:
        return DateReading(problem=f"it contains several dates: {', '.join(text for text, _ in readings)}")
    return DateReading(dated=next(iter(dates), None))


def days_of(dated: str) -> tuple[date, date] | None:
    """Return the first and the last day of a date in the form of ``DateReading``; None for another text."""
    match = _DATED.fullmatch(dated)
    if match is None:
        return None
    try:
        year = int(match["year"])
        if match["day"]:
            day = date(year, int(match["month"]), int(match["day"]))
            return day, day
        if match["quarter"]:
            first, last = 3 * int(match["quarter"]) - 2, 3 * int(match["quarter"])
        else:
            first, last = (int(match["month"]),) * 2 if match["month"] else (1, 12)
        return date(year, first, 1), date(year, last, monthrange(year, last)[1])
    except ValueError:
        return None


def _is_deadline(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - _MAX_WORDS_LENGTH) : match.start()]
    return _DEADLINE.search(before) is not None


def _read_match(match: re.Match[str]) -> DateReading:
    if match["y1"]:
        return _day(match["y1"], int(match["m1"]), int(match["d1"]))
    if match["y2"]:
        return _day_in_unknown_order(match["y2"], int(match["n1"]), int(match["n2"]))
    if match["y3"]:
        return _day(match["y3"], _month_number(match["m3"]), int(match["d3"]))
    if match["y4"]:
        month = _month_number(match["m4"])
        return _day(match["y4"], month, int(match["d4"])) if match["d4"] else _period(match["y4"], f"-{month:02}")
    if match["y5"] or match["y6"]:
        return _period(match["y5"] or match["y6"], f"-Q{match['q5'] or match['q6']}")
    if match["y7"]:
        if not 1 <= int(match["m7"]) <= 12:
            return DateReading(problem="is not a month")
        return _period(match["y7"], f"-{int(match['m7']):02}")
    return _period(match["y8"])


def _period(year: str, rest: str = "") -> DateReading:
    # int() also reads the digits of other scripts. Stored dates have ASCII digits, so that they can be compared.
    return DateReading(f"{int(year):04}{rest}") if int(year) else DateReading(problem="has the year 0")


def _day(year: str, month: int, day: int) -> DateReading:
    try:
        return DateReading(date(int(year), month, day).isoformat())
    except ValueError:
        return DateReading(problem="is not a calendar day")


def _day_in_unknown_order(year: str, first: int, second: int) -> DateReading:
    """Read 13/03/2026 and 03/13/2026. 01/03/2026 is ambiguous: it is in January in one country, in March in another."""
    if len(year) != 4:
        return DateReading(problem="has no four-digit year")
    readings = {reading.dated for reading in _possible_days(year, first, second)}
    if len(readings) > 1:
        return DateReading(problem="is ambiguous: write year-month-day")
    return DateReading(readings.pop()) if readings else DateReading(problem="is not a calendar day")


def _possible_days(year: str, first: int, second: int) -> Iterator[DateReading]:
    for day, month in ((first, second), (second, first)):
        reading = _day(year, month, day)
        if reading.dated:
            yield reading


def _month_number(month: str) -> int:
    prefix = month[:3].casefold()
    return next(number for number, name in enumerate(_MONTHS, start=1) if name.startswith(prefix))
