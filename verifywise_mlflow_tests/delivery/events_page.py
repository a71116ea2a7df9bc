"""Generates the parts of docs/reference/events.md that follow from the schemas.

``python -m verifywise_mlflow_tests.delivery.events_page`` writes these parts, and the copies of the schemas in
the docs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from verifywise_mlflow_tests.support.documentation import write_generated_part
from verifywise_mlflow_tests.support.published_schemas import (
    EVENT_SCHEMAS,
    FACET_SCHEMAS,
    member_table,
    publish_schemas,
    read_schema,
)

PAGE: Final = "reference/events.md"
COMMON: Final = ("tenant", "model", "version", "summary", "url", "sync_id")
"""The members of every event, which the page describes once."""
_FRAME: Final = ("_producer", "_schemaURL")


def event_lines() -> Iterator[str]:
    """Yield the lines that describe the types of events."""
    paths = sorted(EVENT_SCHEMAS.glob("*.json"))
    first = read_schema(paths[0])
    yield "Every event has these members in `data`:"
    yield ""
    yield from member_table({name: first["properties"][name] for name in COMMON})
    for path in paths:
        yield from _section(path, "ai.verifywise.mlflow.", COMMON)


def facet_lines() -> Iterator[str]:
    """Yield the lines that describe our facets."""
    for path in sorted(FACET_SCHEMAS.glob("*.json")):
        yield from _section(path, "", _FRAME)


def _section(path: Path, prefix: str, left_out: tuple[str, ...]) -> Iterator[str]:
    schema = read_schema(path)
    name = path.stem if prefix else schema["title"]
    yield ""
    yield f"### {prefix}{name}"
    yield ""
    yield f"{schema['description']} [Schema](schemas/{path.name})."
    yield ""
    yield from member_table({key: value for key, value in schema["properties"].items() if key not in left_out})


if __name__ == "__main__":
    write_generated_part(PAGE, "events", event_lines())
    write_generated_part(PAGE, "facets", facet_lines())
    publish_schemas()
