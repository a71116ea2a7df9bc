"""Checks events as a receiver could: with CloudEvents' library and official schema, and with our published schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from verifywise_mlflow_tests.support.published_schemas import EVENT_SCHEMAS

_CLOUD_EVENT = json.loads((Path(__file__).parent / "cloud_events/specification/cloudevents.schema.json").read_text())
"""CloudEvents' own schema. Its origin is in the same folder."""

# Tests index events, which are JSON of many shapes, freely, hence Any here.


def read_schemas(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the schemas of a folder by their ids."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return {document["$id"]: document for document in documents}


def check_against_schema(value: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check a value against a schema, which must mention everything that the value has."""
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(value)
    assert set(value) <= set(schema["properties"]), "the schema does not mention what the event has"


def check_event(body: str | bytes) -> dict[str, Any]:
    """Check a CloudEvent in structured mode; return it."""
    content = body.encode() if isinstance(body, str) else body
    parsed = from_http_event(HTTPMessage({"content-type": "application/cloudevents+json; charset=utf-8"}, content))
    event: dict[str, Any] = json.loads(content)
    assert parsed.get_specversion() == "1.0"
    assert parsed.get_id() == event["id"]
    assert parsed.get_data() == event["data"]
    Draft7Validator(_CLOUD_EVENT, format_checker=FormatChecker()).validate(event)
    assert event["type"] == f"ai.verifywise.mlflow.{event['dataschema'].rpartition('/')[2]}"
    check_against_schema(event["data"], read_schemas(EVENT_SCHEMAS)[event["dataschema"]])
    return event
