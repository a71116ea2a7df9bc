"""Custom fields, which only dialect B has: definitions by entity type, and a value per definition and entity."""

from __future__ import annotations

import re

from verifywise_mlflow.demo.servers.verifywise_server.auth import require_role
from verifywise_mlflow.demo.servers.verifywise_server.messages import Call, RefusedError, Response, envelope
from verifywise_mlflow.demo.servers.verifywise_server.state import Document, Kind

_ENTITIES: dict[str, Kind] = {"model_inventory": "model", "model_risk": "risk"}
_TYPES = ("text", "number", "date", "boolean", "select", "multiselect", "user")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})?)?")
MAX_TEXT = 10_000


def list_definitions(call: Call) -> Response:
    """Answer ``GET /custom-fields/definitions/:entity_type``: the probe that distinguishes B from A1 and A2."""
    (entity_type,) = call.parameters
    if entity_type not in _ENTITIES:
        raise RefusedError(400, "Invalid entity_type")
    return envelope(200, call.state.matching("definition", call.caller.organization, entity_type))


def create_definition(call: Call) -> Response:
    """Answer ``POST /custom-fields/definitions``, which needs the permission of an Admin."""
    require_role(call, "Admin")
    content = call.json()
    entity_type, key, options = content.get("entity_type"), content.get("field_key"), content.get("options")
    label, field_type = content.get("label"), content.get("field_type")
    if entity_type not in _ENTITIES or field_type not in _TYPES:
        raise RefusedError(400, "Invalid entity_type or field_type")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise RefusedError(400, "field_key must match ^[a-z][a-z0-9_]{0,63}$")
    if not isinstance(label, str) or not 1 <= len(label.strip()) <= 255:
        raise RefusedError(400, "label must be 1..255 characters")
    needs_options = field_type in ("select", "multiselect")
    if needs_options != bool(options):
        raise RefusedError(400, "select/multiselect fields require a non-empty options array, others none")
    taken = call.state.matching("definition", call.caller.organization, entity_type)
    if any(definition["field_key"] == key for definition in taken):
        raise RefusedError(409, "A custom field with this key already exists for this entity")
    definition = call.state.add(
        "definition",
        call.caller.organization,
        {
            "entity_type": entity_type,
            "field_key": key,
            "label": label.strip(),
            "field_type": field_type,
            "options": options if needs_options else None,
            "required": bool(content.get("required", False)),
            "created_by": call.caller.user,
        },
    )
    return envelope(201, definition)


def list_values(call: Call) -> Response:
    """Answer ``GET /custom-fields/values/:entity_type/:entity_id``."""
    entity_type, entity_id = call.parameters
    if entity_type not in _ENTITIES or not entity_id.isdecimal():
        raise RefusedError(400, "Invalid entity_type or entity_id")
    rows = call.state.matching("value", call.caller.organization, entity_type, int(entity_id))
    return envelope(200, rows)


def set_value(call: Call) -> Response:
    """Answer ``PUT /custom-fields/values``: store the value, or replace the former one."""
    content = call.json()
    definition_id, entity_id, value = (content.get(name) for name in ("definition_id", "entity_id", "value"))
    if not isinstance(definition_id, int) or not isinstance(entity_id, int):
        raise RefusedError(400, "definition_id and entity_id must be positive integers")
    definition = call.state.find("definition", definition_id, call.caller.organization)
    if definition is None:
        raise RefusedError(404, "Custom field definition not found")
    entity_type = str(definition["entity_type"])
    if call.state.find(_ENTITIES[entity_type], entity_id, call.caller.organization) is None:
        raise RefusedError(403, "Target entity not found in this organization")
    if not _fits(definition, value):
        raise RefusedError(400, f"the value does not fit a field of type {definition['field_type']}")
    rows = call.state.matching("value", call.caller.organization, entity_type, entity_id)
    for row in rows:
        if row["definition_id"] == definition_id:
            call.state.replace("value", {**row, "value": value, "updated_at": call.timestamp})
            return envelope(200, {**row, "value": value})
    row = call.state.add(
        "value",
        call.caller.organization,
        {
            "definition_id": definition_id,
            "entity_type": entity_type,
            "entity_id": entity_id,
            "value": value,
            "updated_at": call.timestamp,
        },
    )
    return envelope(200, row)


def _fits(definition: Document, value: object) -> bool:
    options = definition["options"]
    choices = options if isinstance(options, list) else []
    match definition["field_type"]:
        case "text":
            return isinstance(value, str) and len(value) <= MAX_TEXT
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "date":
            return isinstance(value, str) and _DATE.fullmatch(value) is not None
        case "select":
            return value in choices
        case "multiselect":
            return isinstance(value, list) and bool(value) and all(item in choices for item in value)
        case _:
            return isinstance(value, int)
