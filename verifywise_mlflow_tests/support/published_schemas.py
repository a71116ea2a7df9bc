"""The JSON Schemas in the package, their copies in the docs, and tables of their members for the pages.

The schemas of events and facets are written by hand, in the packages that send the events and facets. The schemas of
documents are generated from classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import verifywise_mlflow
from verifywise_mlflow_tests.support.documentation import DOCS

_PACKAGE: Final = Path(verifywise_mlflow.__file__).parent
EVENT_SCHEMAS: Final = _PACKAGE / "delivery" / "cloud_events" / "schemas"
FACET_SCHEMAS: Final = _PACKAGE / "delivery" / "openlineage" / "schemas"
DOCUMENT_SCHEMAS: Final = _PACKAGE / "exports" / "json_documents" / "schemas"
PUBLISHED: Final = DOCS / "reference" / "schemas"

# Schemas are JSON of many shapes and are indexed freely, hence Any here.


def schema_files() -> Iterator[Path]:
    """Yield the schemas in the package."""
    for folder in (EVENT_SCHEMAS, FACET_SCHEMAS, DOCUMENT_SCHEMAS):
        yield from sorted(folder.glob("*.json"))


def publish_schemas() -> None:
    """Copy the schemas of the package to the docs, and delete copies of schemas that the package does not have."""
    PUBLISHED.mkdir(exist_ok=True)
    files = {path.name: path.read_bytes() for path in schema_files()}
    for path in PUBLISHED.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (PUBLISHED / name).write_bytes(content)


def read_schema(path: Path) -> dict[str, Any]:
    """Return a schema."""
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def member_table(properties: Mapping[str, Any], definitions: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Yield a table of the members of an object, including the members of nested objects.

    Args:
        properties: The members and their schemas.
        definitions: The schemas that other schemas refer to, by name: ``$defs``.
    """
    yield "| member | type | meaning |"
    yield "|---|---|---|"
    yield from _rows(properties, definitions or {}, "")


def _rows(properties: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, stated in properties.items():
        schema = _resolved(stated, definitions)
        yield f"| `{prefix}{name}` | {_type(schema, definitions)} | {_cell(stated, schema)} |"
        for option in (schema, *(_resolved(option, definitions) for option in schema.get("anyOf", ()))):
            items = _resolved(option.get("items", {}), definitions)
            yield from _rows(items.get("properties", {}), definitions, f"{prefix}{name}[].")
            yield from _rows(option.get("properties", {}), definitions, f"{prefix}{name}.")


def _cell(stated: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    description: str = stated.get("description") or schema.get("description", "")
    return " ".join(description.replace("|", "\\|").split())


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return {**definitions[name], **{key: value for key, value in schema.items() if key != "$ref"}} if name else schema


def _type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        options = (_type(_resolved(option, definitions), definitions) for option in schema["anyOf"])
        return " or ".join(dict.fromkeys(options))
    stated = schema.get("type", "any")
    kinds = stated if isinstance(stated, list) else [stated]
    return " or ".join(schema.get("format", kind) if kind == "string" else kind for kind in kinds)
