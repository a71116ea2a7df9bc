"""Compared values in brief, for a table: rounded numbers, and places instead of the JSON that MLflow states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from verifywise_mlflow.services.comparison import ComparedValue, Section
from verifywise_mlflow.services.record_parts import DataSet

_SHOWN_DIGEST: Final = len("sha256 ") + 12
"""The number of characters that are printed of a file's hash: enough to see that two hashes differ."""


def brief_sides(value: ComparedValue, brief_by_text: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the brief forms of both values; the full values if the values differ but their brief forms are equal.

    Args:
        value: The two values.
        brief_by_text: Maps the text of each data set to its brief form.
    """
    first, second = (_brief(value.section, text, brief_by_text) for text in (value.first, value.second))
    return (value.first, value.second) if value.differs and first == second else (first, second)


def _brief(section: Section, text: str | None, brief_by_text: Mapping[str, str]) -> str | None:
    if text is None:
        return None
    if section == "metrics":
        return f"{float(text):g}"
    if section == "data sets":
        return brief_by_text.get(text, text)
    if section == "files" and text.startswith("sha256 "):
        return f"{text[:_SHOWN_DIGEST]}…"
    return text


def brief_data_set(item: DataSet) -> str:
    """Return the digest of a data set and its place, or the name of the program that made it."""
    parts = (item.digest and f"digest {item.digest}", _place(item))
    return ", ".join(part for part in parts if part) or "no digest and no source"


def _place(item: DataSet) -> str | None:
    """Return the place of a data set from the JSON of its source. The form of the JSON depends on the source's type."""
    try:
        source = json.loads(item.source or "null")
    except (ValueError, RecursionError):
        return item.source
    if not isinstance(source, Mapping):
        return item.source
    for name in ("uri", "url", "path"):
        if isinstance(place := source.get(name), str):
            return place
    tags = source.get("tags")
    program = tags.get("mlflow.source.name") if isinstance(tags, Mapping) else None
    program_name = str(program or "").rpartition("/")[2]
    return f"made by {program_name}" if program_name else f"source of type {item.source_type or 'unknown'}"
