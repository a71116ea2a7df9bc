"""Values in the CLI's output: as text for people, and as JSON for ``--json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text

from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.normalizer.origin import ValueState

if TYPE_CHECKING:
    from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver

MAX_DISPLAY_LENGTH = 300
"""The maximum number of characters of one value that are printed; ``--json`` has the whole value."""


def escape_rich_markup(text: str) -> str:
    """Return an untrusted text for a line that has Rich's markup: invisible characters and markup are escaped."""
    return escape(escape_invisible(text))


def display(value: object, max_length: int = MAX_DISPLAY_LENGTH) -> Text:
    """Return a value for people. Markup in it has no effect, a long value is truncated, and a time never wraps."""
    text = _text(value)
    return Text(
        text if len(text) <= max_length else f"{text[:max_length]}… ({len(text)} characters)",
        no_wrap=isinstance(value, datetime) or None,
    )


def display_name(name: object, max_length: int = MAX_DISPLAY_LENGTH) -> Text:
    """Return a name for people that no table breaks, since half of a name would look like another name."""
    text = display(name, max_length)
    text.no_wrap = True
    return text


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, str):
        return escape_invisible(value)
    if isinstance(value, Mapping | list | tuple):
        return escape_invisible(json.dumps(json_ready(value), ensure_ascii=False))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return str(value)


def display_origin(entry: Mapping[str, object] | None) -> Text:
    """Return the origin of a value, with its rule and its link: ``run tag owner: 'Risk Team'``."""
    if entry is None:
        return Text("")
    text = f"{entry.get('source')} {entry.get('key')}"
    if entry.get("raw") is not None:
        text += f": {entry['raw']!r}"
    state = entry.get("state")
    reasons = [f"{ValueState(str(state)).clause}, which is no value"] if state else []
    for key, claim in (
        ("same_person_as", "the same person as"),
        ("may_be_same_person_as", "may be the same person as"),
    ):
        if isinstance(fields := entry.get(key), list | tuple) and fields:
            reasons.append(f"{claim} {', '.join(map(str, fields))}")
    reasons += [str(entry[key]) for key in ("rule", "link") if entry.get(key) is not None]
    if reasons:
        text += f" ({'; '.join(reasons)})"
    return display(text)


_PUBLISHED_KEYS = {"deleted_at": "gone_at", "valid_from": "held_from", "valid_to": "held_until"}
"""Maps a field to its key in ``--json``, if the two differ. The keys are a public interface, so they do not change."""


def with_published_keys(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a dataclass and of its ``span``, under their keys in ``--json``."""
    return {
        _PUBLISHED_KEYS.get(name, name): with_published_keys(value)
        if name == "span" and isinstance(value, Mapping)
        else value
        for name, value in fields.items()
    }


def waiver_as_json(record: StoredWaiver) -> dict[str, object]:
    """Return a waiver as JSON values."""
    names = ("waiver_id", "source", "granted_at", "ended_at")
    return {
        **record.waiver.model_dump(mode="json"),
        **{name: getattr(record, name) for name in names},
        "ended": record.end_reason,
    }
