"""Draws a model's stages and aliases over time.

The timeline is not drawn by the chart library, since a site may have thousands of timelines. This module takes a
hundredth of the library's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from verifywise_mlflow.common.untrusted_text import excerpt
from verifywise_mlflow.documents.report.rendering import environment
from verifywise_mlflow.documents.report.stage_timeline import Lane
from verifywise_mlflow.normalizer.lifecycle_event import EventKind

_LABELS_PX: Final = 150
_TRACK_PX: Final = 610
_LANE_PX: Final = 28
_MIN_SPAN_PX: Final = 2.0
_MIN_WIDTH_OF_LABEL_PX: Final = 26
_COLORS: Final = {"Production": "--stage-production", "Staging": "--stage-staging"}


@dataclass(frozen=True, slots=True)
class _Bar:
    x: float
    y: float
    width: float
    color: str
    label: str


@dataclass(frozen=True, slots=True)
class _Label:
    y: float
    text: str


def timeline_svg(lanes: Sequence[Lane], at: datetime) -> Markup:
    """Return the image of lanes up to a time. The image's text alternative is the table below the image."""
    begin = min(span.begin for lane in lanes for span in lane.spans)
    seconds = max((at - begin).total_seconds(), 1.0)
    height = _LANE_PX * len(lanes)
    return Markup(  # noqa: S704  # escaped by the template
        environment()
        .get_template("timeline.svg.j2")
        .render(
            labels=[_Label(_LANE_PX * (place + 0.62), excerpt(lane.label, 20)) for place, lane in enumerate(lanes)],
            bars=list(_bars(lanes, begin, seconds, at)),
            lines=[_LANE_PX * place for place in range(len(lanes) + 1)],
            left=_LABELS_PX,
            track=_TRACK_PX,
            height=height,
            first=f"{begin.astimezone(UTC):%Y-%m-%d}",
            last=f"{at.astimezone(UTC):%Y-%m-%d}",
        )
    )


def _bars(lanes: Sequence[Lane], begin: datetime, seconds: float, at: datetime) -> Iterator[_Bar]:
    for place, lane in enumerate(lanes):
        for number, span in enumerate(lane.spans):
            x = _LABELS_PX + _TRACK_PX * (span.begin - begin).total_seconds() / seconds
            width = max(_TRACK_PX * ((span.end or at) - span.begin).total_seconds() / seconds, _MIN_SPAN_PX)
            label = str(span.version_number) if width >= _MIN_WIDTH_OF_LABEL_PX else ""
            yield _Bar(round(x, 1), _LANE_PX * place + 4, round(width, 1), _color(lane, number), label)


def _color(lane: Lane, number: int) -> str:
    if lane.kind is EventKind.STAGE:
        return _COLORS.get(lane.label, "--stage-other")
    return "--stage-staging" if number % 2 == 0 else "--supports"
