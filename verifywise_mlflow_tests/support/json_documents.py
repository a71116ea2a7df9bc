"""Checks the JSON documents that commands print against the published schemas."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from verifywise_mlflow_tests.support.published_schemas import DOCUMENT_SCHEMAS, read_schema

# Tests index JSON of many shapes freely, hence Any here.


def check_document(output: str) -> dict[str, Any]:
    """Check that a command printed one document, which names its schema and matches it; return the document.

    The schemas allow unknown members, since a later release may add members. Here, each member must be described.
    """
    document: dict[str, Any] = json.loads(output)
    name = str(document["schema"]).rpartition("/")[2]
    _validator(name).validate(document)
    return document


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = read_schema(DOCUMENT_SCHEMAS / f"{name}.json")
    return Draft202012Validator(_closed(schema), format_checker=FormatChecker())


def _closed(schema: Any) -> Any:
    """Return the schema, changed so that objects with listed members allow no other members."""
    if isinstance(schema, dict):
        closed = {name: _closed(value) for name, value in schema.items()}
        return (
            {**closed, "additionalProperties": False}
            if "properties" in schema and schema.get("type") == "object"
            else closed
        )
    return [_closed(item) for item in schema] if isinstance(schema, list) else schema
