"""Moments as people write them: ``2026-03-03``, ``2026-03-03T14:30+01:00``, ``yesterday``, ``7d``, ``3 days ago``.

A text that names no zone is local time, as the environment variable ``TZ`` or the machine sets it. A text with two
meanings is refused, since a wrong guess selects another day. Such texts are ``03/04/2026``, ``3m``, and the hour that
occurs twice when clocks are set back.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

EXAMPLES: Final = "2026-03-03, 2026-03-03T14:30, 2026-03-03T14:30+01:00, yesterday, 7d, '3 days ago'"
"""Examples of moments, for help texts and errors."""

MAX_TEXT: Final = 60
"""The number of characters beyond which a text is refused without parsing. The longest moment has 35 characters."""

_ISO: Final = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?))? ?(?P<zone>Z|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE | re.ASCII,
)
_AGO: Final = re.compile(r"(?P<count>\d{1,5}|an?) ?(?P<unit>[a-z]+)(?P<ago> ago)?", re.ASCII)
_SLASHES: Final = re.compile(r"\d{1,4}[/.]\d{1,2}[/.]\d{1,4}", re.ASCII)
_DAYS: Final = {"today": 0, "yesterday": 1}
_UNITS: Final = {
    **dict.fromkeys(("min", "mins", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks"), timedelta(weeks=1)),
}


class MomentError(ValueError):
    """A text that is not a moment, has two readings, or lies in the future."""


def parse_moment(text: str, now: datetime, *, zone: tzinfo | None = None, may_be_future: bool = False) -> datetime:
    """Return the moment in UTC that a text means.

    A date means the start of that day, and ``7d`` the moment 7 times 24 hours before ``now``.

    Args:
        text: The text. The case of letters does not matter.
        now: The current time, with a zone.
        zone: The zone of texts that name no zone. None: the machine's local time.
        may_be_future: Whether a moment after ``now`` is accepted.

    Raises:
        MomentError: The text cannot be understood, has two readings, or is in the future.
    """
    words = " ".join(text.split()).casefold() if len(text) <= MAX_TEXT else ""
    try:
        moment = _relative(words, now, zone) or _absolute(words, zone)
    except (ValueError, OverflowError, OSError) as error:
        if isinstance(error, MomentError):
            raise
        moment = None
    if moment is None:
        raise MomentError(_refusal(text, words))
    if moment > now and not may_be_future:
        raise MomentError(f"{utc_text(moment)} is still to come: it is {utc_text(now)} now")
    return moment


def utc_text(moment: datetime) -> str:
    """Return a moment for a sentence, to the second: ``2026-03-03 13:30:00 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _relative(words: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    if words == "now":
        return now.astimezone(UTC)
    if words in _DAYS:
        day = now.astimezone(zone).date() - timedelta(days=_DAYS[words])
        return _readings(datetime(day.year, day.month, day.day), zone)[0]
    match = _AGO.fullmatch(words)
    unit = _UNITS.get(match["unit"]) if match else None
    if match is None or unit is None:
        return None
    is_article = match["count"].startswith("a")
    if is_article and not match["ago"]:
        return None
    return now.astimezone(UTC) - (1 if is_article else int(match["count"])) * unit


def _absolute(words: str, zone: tzinfo | None) -> datetime | None:
    match = _ISO.fullmatch(words)
    if match is None:
        return None
    wall_clock = datetime.fromisoformat(f"{match['day']}T{match['time'] or '00:00'}")
    if match["zone"]:
        return datetime.fromisoformat(f"{wall_clock.isoformat()}{match['zone'].upper()}").astimezone(UTC)
    first, second = _readings(wall_clock, zone)
    if match["time"] is None:
        return first  # the day's first moment, even if clocks are set at midnight
    if first < second:
        raise MomentError(
            f"{wall_clock} occurs twice in local time, since clocks were set back: {utc_text(first)} and "
            f"{utc_text(second)}. Write one of them, with Z for UTC"
        )
    if first > second:
        raise MomentError(f"{wall_clock} does not exist in local time, since clocks were set forward: write another")
    return first


def _readings(wall_clock: datetime, zone: tzinfo | None) -> tuple[datetime, datetime]:
    """Return both moments that a time on the clock may mean. They differ only on the days when clocks change.

    The first moment is the earlier moment if an hour occurs twice, and the later moment if an hour is skipped.
    """
    first, second = (wall_clock.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def _refusal(text: str, words: str) -> str:
    shown = ascii(text) if len(text) <= MAX_TEXT else f"a text of {len(text):,} characters"
    if _SLASHES.fullmatch(words):
        return f"{shown} has several readings: write year, month and day as in 2026-03-04"
    match = _AGO.fullmatch(words)
    if match and match["unit"] in ("m", "mo", "month", "months", "y", "year", "years"):
        return f"{shown} has several readings: write days or weeks, such as 30d, or a date"
    return f"{shown} is not a time: write {EXAMPLES}"
