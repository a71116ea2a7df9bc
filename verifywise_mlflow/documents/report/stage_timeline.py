"""The times at which versions of a model were in production or had an alias, derived from lifecycle events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from verifywise_mlflow.normalizer.lifecycle_event import EventKind
from verifywise_mlflow.persistence.repositories.lifecycle_events import RecordedEvent

MAX_LANES = 12
_STAGE_ORDER = ("Production", "Staging", "Archived")
MAX_SPANS_PER_LANE = 60
"""The maximum number of spans in a lane, the newest spans. The list of events has a longer history."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time during which a version had a stage or an alias."""

    version_number: int
    begin: datetime
    end: datetime | None
    """The end of the time; None if the version still has the stage or alias."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The spans of one stage or one alias, oldest first."""

    label: str
    kind: EventKind
    spans: Sequence[Span]


def stage_timeline(events: Iterable[RecordedEvent]) -> list[Lane]:
    """Return the lanes of a model's stages and aliases: stages first, then aliases by name.

    Args:
        events: the events of the model's versions, in any order; an event may occur twice.
    """
    moves = {
        (recorded.event.kind, recorded.event.version_number, recorded.event.alias, _time(recorded)): recorded
        for recorded in events
        if recorded.event.kind in (EventKind.STAGE, EventKind.ALIAS, EventKind.DISAPPEARED)
    }
    opened: dict[tuple[EventKind, str, int], datetime] = {}
    spans: dict[tuple[EventKind, str], list[Span]] = {}

    def end(key: tuple[EventKind, str, int], at: datetime) -> None:
        begin = opened.pop(key, None)
        if begin is not None and begin < at:
            spans.setdefault(key[:2], []).append(Span(key[2], begin, at))

    for recorded in sorted(moves.values(), key=_time):
        event, at = recorded.event, _time(recorded)
        if event.kind is EventKind.DISAPPEARED:
            for key in [key for key in opened if event.version_number in (None, key[2])]:
                end(key, at)
        for key in _keys(recorded, event.previous):
            end(key, at)
        for key in _keys(recorded, event.value):
            opened.setdefault(key, at)
    for key, begin in opened.items():
        spans.setdefault(key[:2], []).append(Span(key[2], begin, None))
    lanes = [
        Lane(label, kind, sorted(found, key=lambda span: span.begin)[-MAX_SPANS_PER_LANE:])
        for (kind, label), found in spans.items()
    ]
    return sorted(lanes, key=_place)[:MAX_LANES]


def _place(lane: Lane) -> tuple[bool, int, str]:
    known = _STAGE_ORDER.index(lane.label) if lane.label in _STAGE_ORDER else len(_STAGE_ORDER)
    return (lane.kind is EventKind.ALIAS, known, lane.label)


def _keys(recorded: RecordedEvent, value: str | None) -> Iterator[tuple[EventKind, str, int]]:
    """Yield the lane and the version to which a value of an event belongs."""
    event = recorded.event
    if not value or value == "None":
        return
    if event.kind is EventKind.STAGE and event.version_number is not None:
        yield (EventKind.STAGE, value, event.version_number)
    elif event.kind is EventKind.ALIAS and event.alias and value.isdecimal():
        yield (EventKind.ALIAS, event.alias, int(value))


def _time(recorded: RecordedEvent) -> datetime:
    return recorded.event.happened_at or recorded.seen_at
