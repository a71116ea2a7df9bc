"""The parts of docs/reference/events.md that come from the schemas, and the copies of the schemas in the docs.

``python -m verifywise_mlflow_tests.delivery.events_page`` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from verifywise_mlflow_tests.delivery.event_checks import EVENT_SCHEMAS, FACET_SCHEMAS
from verifywise_mlflow_tests.support.documentation import DOCS, write_generated_part

PAGE: Final = "reference/events.md"
PUBLISHED: Final = DOCS / "reference" / "schemas"
COMMON: Final = ("tenant", "model", "version", "summary", "url", "sync_id")
"""The members of every event, which the page describes once."""
_FRAME: Final = ("_producer", "_schemaURL")


def schema_files() -> Iterator[Path]:
    """Yield the schemas in the package."""
    yield from sorted((*EVENT_SCHEMAS.glob("*.json"), *FACET_SCHEMAS.glob("*.json")))


def event_lines() -> Iterator[str]:
    """Yield the lines that describe the types of events."""
    first = json.loads(next(iter(sorted(EVENT_SCHEMAS.glob("*.json")))).read_text(encoding="utf-8"))
    yield "Every event has these members in `data`:"
    yield ""
    yield from _table({name: first["properties"][name] for name in COMMON})
    for path in sorted(EVENT_SCHEMAS.glob("*.json")):
        yield from _section(path, "ai.verifywise.mlflow.", COMMON)


def facet_lines() -> Iterator[str]:
    """Yield the lines that describe our facets."""
    for path in sorted(FACET_SCHEMAS.glob("*.json")):
        yield from _section(path, "", _FRAME)


def _section(path: Path, prefix: str, left_out: tuple[str, ...]) -> Iterator[str]:
    schema = json.loads(path.read_text(encoding="utf-8"))
    name = path.stem if prefix else schema["title"]
    yield ""
    yield f"### {prefix}{name}"
    yield ""
    yield f"{schema['description']} [Schema](schemas/{path.name})."
    yield ""
    yield from _table({key: value for key, value in schema["properties"].items() if key not in left_out})


def _table(properties: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    if not prefix:
        yield "| member | type | meaning |"
        yield "|---|---|---|"
    for name, schema in properties.items():
        yield f"| `{prefix}{name}` | {_type(schema)} | {schema.get('description', '')} |"
        items = schema.get("items", {})
        yield from _table(items.get("properties", {}), f"{prefix}{name}[].") if items else ()


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    named = [schema.get("format", kind) if kind == "string" else kind for kind in kinds]
    return " or ".join(named)


if __name__ == "__main__":
    write_generated_part(PAGE, "events", event_lines())
    write_generated_part(PAGE, "facets", facet_lines())
    PUBLISHED.mkdir(exist_ok=True)
    for file in schema_files():
        (PUBLISHED / file.name).write_bytes(file.read_bytes())
