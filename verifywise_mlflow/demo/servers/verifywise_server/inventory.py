"""The model inventory. It validates nothing itself: a value that the database refuses results in a 500."""

from __future__ import annotations

from verifywise_mlflow.demo.servers.verifywise_server import history
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.fields import check_choice, check_lengths, integers
from verifywise_mlflow.demo.servers.verifywise_server.messages import Call, RefusedError, Response, envelope
from verifywise_mlflow.demo.servers.verifywise_server.state import Document

_VARCHARS = (
    *("provider", "model", "version", "reference_link", "biases", "limitations", "hosting_provider"),
    *("provider_model", "external_key", "type"),
)
_TEXTS = ("provider_model", "provider", "model", "version", "reference_link", "biases", "limitations")
_ADDED_IN_B = ("external_key", "type", "intended_use")


def list_models(call: Call) -> Response:
    """Answer ``GET /modelInventory``: all entries, without pages."""
    return envelope(200, [_shown(row) for row in call.state.all("model", call.caller.organization)])


def get_model(call: Call) -> Response:
    """Answer ``GET /modelInventory/:id``: 204 if there is no such entry, 500 if the id is not a number."""
    row = _row(call)
    return Response(204) if row is None else envelope(200, _shown(row))


def create_model(call: Call) -> Response:
    """Answer ``POST /modelInventory``. No field is required, and in A1 and A2 no field is unique."""
    content = call.json()
    row: Document = {
        **dict.fromkeys((*_TEXTS, "hosting_provider"), ""),
        "approver": None,
        "capabilities": "",
        "security_assessment": False,
        "security_assessment_data": [],
        "status": "Pending",
        "status_date": call.timestamp,
        "projects": [],
        "frameworks": [],
        "created_at": call.timestamp,
        "updated_at": call.timestamp,
    }
    if call.dialect.has_custom_fields:
        row |= dict.fromkeys(_ADDED_IN_B)
    row |= _accepted(content, row)
    _check(call, row)
    stored = call.state.add("model", call.caller.organization, row)
    history.record(call, "model_history", stored["id"], "created")
    call.state.send_mail("model_added")
    return envelope(201, _shown(stored))


def update_model(call: Call) -> Response:
    """Answer ``PATCH /modelInventory/:id``: rewrites the row and moves ``updated_at``, even if nothing changes."""
    row = _row(call)
    if row is None:
        raise RefusedError(404, "Model inventory not found")
    changes = _accepted(call.json(), row)
    updated = {**row, **changes, "updated_at": call.timestamp}
    _check(call, updated)
    history.record_changes(call, "model_history", row, changes)
    call.state.replace("model", updated)
    call.state.send_mail("model_updated")
    if call.dialect is Dialect.B and updated["status"] == "Approved" != row["status"]:
        call.state.send_mail("model_deployed")
    return envelope(200, _shown(updated))


def delete_model(call: Call) -> Response:
    """Answer ``DELETE /modelInventory/:id``."""
    row = _row(call)
    if row is None:
        raise RefusedError(404, "Model inventory not found")
    history.record(call, "model_history", row["id"], "deleted")
    call.state.delete("model", row["id"])
    call.state.send_mail("model_deleted")
    return envelope(200, "Model inventory deleted successfully")


def _row(call: Call) -> Document | None:
    return call.state.find("model", call.identifier(on_error=500), call.caller.organization)


def _accepted(content: Document, row: Document) -> Document:
    """Return the fields that the release knows; other fields are ignored."""
    fixed = {"id", "created_at", "updated_at"}
    accepted = {name: value for name, value in content.items() if name in row and name not in fixed}
    capabilities = accepted.get("capabilities")
    if isinstance(capabilities, list):
        accepted["capabilities"] = ", ".join(map(str, capabilities))
    return accepted


def _check(call: Call, row: Document) -> None:
    check_lengths(row, _VARCHARS, status=500)
    check_choice(row, "status", call.dialect.statuses, status=500)
    approver = row["approver"]
    if approver is not None and not (isinstance(approver, int) and call.state.find("user", approver)):
        raise RefusedError(500, "insert or update violates foreign key constraint on approver")
    if integers(row["frameworks"]) and not integers(row["projects"]):
        raise RefusedError(500, "null value in column project_id violates not-null constraint")
    key = row.get("external_key")
    if key is not None:
        others = call.state.matching("model", call.caller.organization, key)
        if any(other["id"] != row.get("id") for other in others):
            raise RefusedError(409, "A model with this external key already exists in your organization.")


def _shown(row: Document) -> Document:
    capabilities = [part for part in str(row["capabilities"]).split(", ") if part.strip()]
    return {**row, "capabilities": capabilities, "reference_link": str(row["reference_link"]).strip() or None}
