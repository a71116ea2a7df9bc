"""Renders charts as SVG with vl-convert, which contains Vega-Lite and needs neither a browser nor a network.

The image has no colors of its own. It refers to CSS variables of the page, so its colors follow the page's theme. It
has no script, no link and no style sheet. Its text alternative is a title, a description and a table next to it.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import vl_convert
from markupsafe import Markup

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.common.untrusted_text import excerpt

_WIDTH_PX: Final = 520
_BAR_PX: Final = 30
_AREA_HEIGHT_PX: Final = 200
_MAX_LABEL_LENGTH: Final = 36
_FONT_PX: Final = 14
"""The font size with which texts are measured. The page shows the texts at 12 px, since the page's font may be wider
than the library's font."""
_SVG: Final = "{http://www.w3.org/2000/svg}"
_ELEMENTS: Final = frozenset({"svg", "g", "path", "line", "rect", "text", "tspan", "defs", "clipPath"})
_ATTRIBUTES: Final = frozenset(
    (
        *("viewBox", "transform", "d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "id", "clip-path"),
        *("fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-miterlimit"),
        *("stroke-linejoin", "stroke-linecap", "opacity", "text-anchor", "font-size", "font-weight", "dx", "dy"),
    )
)
_CONFIG: Final[Mapping[str, Json]] = {
    # The library carries this font: labels have the same width on every machine.
    "font": "Liberation Sans",
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": _FONT_PX,
        "titleFontSize": _FONT_PX,
        "titleFontWeight": "normal",
    },
}


_DAYS: Final[Json] = {
    "field": "day",
    "type": "temporal",
    "scale": {"type": "utc"},
    "axis": {"title": None, "format": "%d %b %Y", "tickCount": 5, "grid": False, "labelFlush": True},
}


@dataclass(frozen=True, slots=True)
class Series:
    """A series of a chart, with its own color."""

    name: str
    color: str
    """A CSS variable, such as ``--failing``."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, and its text alternative."""

    svg: Markup
    title: str
    series: Sequence[Series]
    """The series of the chart, which the legend lists."""
    headings: Sequence[str]
    rows: Sequence[Sequence[str | float]]
    """The numbers of the chart: a row for each bar or each day."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a chart, and the length that each series takes of the bar."""

    label: str
    counts: Mapping[str, int]
    """The counts by the name of the series."""


def stacked_bars(
    chart_id: str, title: str, heading: str, unit: str, series: Sequence[Series], bars: Sequence[Bar]
) -> Chart:
    """Return a chart of horizontal bars, in their order, with the total at the end of each.

    Args:
        chart_id: identifies the chart on its page.
        title: what the chart shows.
        heading: what a bar represents.
        unit: what is counted, as a plural.
        series: the parts of a bar, in their order.
        bars: the bars. Their labels may be texts of tenants.
    """
    labels = _distinct_labels(bars)
    rows: Sequence[Json] = [
        {"bar": label, "series": part.name, "count": bar.counts.get(part.name, 0), "order": order}
        for label, bar in zip(labels, bars, strict=True)
        for order, part in enumerate(series)
    ]
    totals = [sum(bar.counts.get(part.name, 0) for part in series) for bar in bars]
    total_rows: Sequence[Json] = [{"bar": label, "total": total} for label, total in zip(labels, totals, strict=True)]
    y: Json = {
        "field": "bar",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelLimit": 220, "ticks": False, "domain": False, "labelColor": "var(--text)", "labelPadding": 8},
    }
    x_axis: Json = {"title": unit, "tickMinStep": 1, "format": ",d", "tickCount": 6, "domain": False}
    spec: Mapping[str, Json] = {
        "width": _WIDTH_PX,
        "height": _BAR_PX * max(len(bars), 1),
        "layer": [
            {
                "data": {"values": rows},
                "mark": {"type": "bar", "height": {"band": 0.66}, "stroke": "var(--raised)", "strokeWidth": 1},
                "encoding": {
                    "y": y,
                    "x": {"field": "count", "type": "quantitative", "axis": x_axis},
                    "order": {"field": "order"},
                    "color": _color(series),
                },
            },
            {
                "data": {"values": total_rows},
                "mark": {"type": "text", "align": "left", "dx": 6, "color": "var(--text)", "fontSize": _FONT_PX},
                "encoding": {
                    "y": y,
                    "x": {"field": "total", "type": "quantitative"},
                    "text": {"field": "total", "format": ",d"},
                },
            },
        ],
    }
    table: list[Sequence[str | float]] = [
        (bar.label, *(bar.counts.get(part.name, 0) for part in series), total)
        for bar, total in zip(bars, totals, strict=True)
    ]
    description = f"A bar for each {heading.lower()}, split by {', '.join(part.name for part in series)}."
    headings = (heading, *(part.name for part in series), "total")
    return Chart(_svg(chart_id, title, description, spec), title, series, headings, table)


def area_over_time(
    chart_id: str, title: str, unit: str, series: Sequence[Series], points: Sequence[tuple[date, Mapping[str, int]]]
) -> Chart:
    """Return a chart of stacked areas over days. A count holds until the next point.

    Args:
        chart_id: identifies the chart on its page.
        title: what the chart shows.
        unit: what is counted, as a plural.
        series: the areas, from the bottom up.
        points: days in their order, each with the counts by the name of the series.
    """
    rows: Sequence[Json] = [
        {"day": f"{day.isoformat()}T00:00:00Z", "series": part.name, "count": counts.get(part.name, 0), "order": order}
        for day, counts in points
        for order, part in enumerate(series)
    ]
    spec: Mapping[str, Json] = {
        "width": _WIDTH_PX,
        "height": _AREA_HEIGHT_PX,
        "data": {"values": rows},
        "mark": {"type": "area", "interpolate": "step-after", "stroke": "var(--raised)", "strokeWidth": 1},
        "encoding": {
            "x": _DAYS,
            "y": {
                "field": "count",
                "type": "quantitative",
                "axis": {"title": unit, "tickMinStep": 1, "format": ",d", "tickCount": 5, "domain": False},
            },
            "order": {"field": "order"},
            "color": _color(series),
        },
    }
    table: list[Sequence[str | float]] = [
        (day.isoformat(), *(counts.get(part.name, 0) for part in series)) for day, counts in points
    ]
    first, last = (points[0][0], points[-1][0]) if points else ("", "")
    description = f"Areas from {first} to {last}: {', '.join(part.name for part in series)}, from the bottom up."
    headings = ("day", *(part.name for part in series))
    return Chart(_svg(chart_id, title, description, spec), title, series, headings, table)


def percentage_over_time(chart_id: str, title: str, series: Series, points: Sequence[tuple[date, float]]) -> Chart:
    """Return a line chart over days, from 0 to 100 percent. A value holds until the next point.

    Args:
        chart_id: identifies the chart on its page.
        title: what the chart shows.
        series: the line.
        points: days in their order, each with the percentage.
    """
    rows: Sequence[Json] = [{"day": f"{day.isoformat()}T00:00:00Z", "percent": percent} for day, percent in points]
    spec: Mapping[str, Json] = {
        "width": _WIDTH_PX,
        "height": _AREA_HEIGHT_PX,
        "data": {"values": rows},
        "mark": {"type": "line", "interpolate": "step-after", "color": f"var({series.color})", "strokeWidth": 2},
        "encoding": {
            "x": _DAYS,
            "y": {
                "field": "percent",
                "type": "quantitative",
                "scale": {"domain": [0, 100]},
                "axis": {"title": "percent", "tickCount": 5, "domain": False},
            },
        },
    }
    first, last = (points[0], points[-1]) if points else (("", 0.0), ("", 0.0))
    description = f"A line from {first[1]:g} percent on {first[0]} to {last[1]:g} percent on {last[0]}."
    table: list[Sequence[str | float]] = [(day.isoformat(), percent) for day, percent in points]
    return Chart(_svg(chart_id, title, description, spec), title, [series], ("day", "percent"), table)


def _color(series: Sequence[Series]) -> Json:
    return {
        "field": "series",
        "legend": None,  # the page has its own legend, which wraps
        "scale": {
            "domain": [part.name for part in series],
            "range": [f"var({part.color})" for part in series],
        },
    }


def _distinct_labels(bars: Sequence[Bar]) -> list[str]:
    """Return short labels that differ: bars with the same label would become one bar."""
    labels: list[str] = []
    for bar in bars:
        label = excerpt(bar.label, _MAX_LABEL_LENGTH)
        while label in labels:
            label += "′"
        labels.append(label)
    return labels


def _svg(chart_id: str, title: str, description: str, spec: Mapping[str, Json]) -> Markup:
    """Return the image, which contains only shapes and texts."""
    document = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "config": _CONFIG, **spec}
    rendered = vl_convert.vegalite_to_svg(json.dumps(document), allowed_base_urls=[])
    root = ET.fromstring(rendered)  # noqa: S314  # the library wrote this XML, and it escapes texts
    _sanitize(root)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{chart_id}-title {chart_id}-description"}
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        suffix = "description" if tag == "desc" else tag
        element = ET.Element(f"{_SVG}{tag}", {"id": f"{chart_id}-{suffix}"})
        element.text = text
        root.insert(place, element)
    ET.register_namespace("", _SVG.strip("{}"))
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  # elements and attributes are a fixed set


def _sanitize(element: ET.Element) -> None:
    """Remove all elements and attributes that are not shapes, texts and colors, and the roles of single shapes."""
    for child in list(element):
        if child.tag.removeprefix(_SVG) in _ELEMENTS:
            _sanitize(child)
        else:
            element.remove(child)
    for name in element.attrib.keys() - _ATTRIBUTES:
        del element.attrib[name]
