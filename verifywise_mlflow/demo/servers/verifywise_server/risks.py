"""Model risks: every error is a 400, and a deletion only marks the risk."""

from __future__ import annotations

from datetime import date

from verifywise_mlflow.demo.servers.verifywise_server import history
from verifywise_mlflow.demo.servers.verifywise_server.fields import check_choice, check_lengths
from verifywise_mlflow.demo.servers.verifywise_server.messages import Call, RefusedError, Response, envelope
from verifywise_mlflow.demo.servers.verifywise_server.state import Document

_CHOICES = {
    "risk_category": ("Performance", "Bias & Fairness", "Security", "Data Quality", "Compliance"),
    "risk_level": ("Low", "Medium", "High", "Critical"),
    "status": ("Open", "In Progress", "Resolved", "Accepted"),
}
_REQUIRED = ("risk_category", "risk_level", "owner", "target_date")
_TEXTS = (
    *("risk_name", "description", "mitigation_plan", "impact", "likelihood", "key_metrics", "current_values"),
    "threshold",
)
_VARCHARS = ("risk_name", "likelihood", "threshold")


def list_risks(call: Call) -> Response:
    """Answer ``GET /modelRisks?filter=active|deleted|all``."""
    chosen = call.request.query.get("filter", "active")
    rows = call.state.all("risk", call.caller.organization)
    return envelope(200, [row for row in rows if chosen == "all" or row["is_deleted"] == (chosen == "deleted")])


def get_risk(call: Call) -> Response:
    """Answer ``GET /modelRisks/:id``: 404 also for a deleted risk."""
    row = _row(call)
    if row["is_deleted"]:
        raise RefusedError(404, "Model risk not found.")
    return envelope(200, row)


def create_risk(call: Call) -> Response:
    """Answer ``POST /modelRisks``. No field is unique."""
    content = call.json()
    for name in _REQUIRED:
        if name not in content:
            raise RefusedError(400, f"Named replacement :{name} has no entry in the replacement map")
    row: Document = {
        **dict.fromkeys(_TEXTS, ""),
        "risk_category": None,
        "risk_level": None,
        "status": "Open",
        "owner": None,
        "target_date": None,
        "model_id": None,
        "is_deleted": False,
        "deleted_at": None,
        "created_at": call.timestamp,
        "updated_at": call.timestamp,
    }
    row |= _accepted(content, row)
    _check(call, row)
    stored = call.state.add("risk", call.caller.organization, row)
    history.record(call, "risk_history", stored["id"], "created")
    return envelope(201, stored)


def update_risk(call: Call) -> Response:
    """Answer ``PATCH /modelRisks/:id``, partial. A deleted risk is changed, too, with 200, and stays deleted."""
    row = _row(call)
    changes = _accepted(call.json(), row)
    updated = {**row, **changes, "updated_at": call.timestamp}
    _check(call, updated)
    history.record_changes(call, "risk_history", row, changes)
    call.state.replace("risk", updated)
    return envelope(200, updated)


def delete_risk(call: Call) -> Response:
    """Answer ``DELETE /modelRisks/:id``: mark the risk as deleted."""
    row = _row(call)
    if row["is_deleted"]:
        raise RefusedError(404, "Model risk not found.")
    call.state.replace("risk", {**row, "is_deleted": True, "deleted_at": call.timestamp, "updated_at": call.timestamp})
    history.record(call, "risk_history", row["id"], "deleted")
    return envelope(200, "Model risk deleted successfully.")


def _row(call: Call) -> Document:
    row = call.state.find("risk", call.identifier(on_error=400), call.caller.organization)
    if row is None:
        raise RefusedError(404, "Model risk not found.")
    return row


def _accepted(content: Document, row: Document) -> Document:
    fixed = {"id", "is_deleted", "deleted_at", "created_at", "updated_at"}
    return {name: value for name, value in content.items() if name in row and name not in fixed}


def _check(call: Call, row: Document) -> None:
    check_lengths(row, _VARCHARS, status=400)
    for name, choices in _CHOICES.items():
        check_choice(row, name, choices, status=400)
    owner, model = row["owner"], row["model_id"]
    if owner is not None and not (isinstance(owner, int) and call.state.find("user", owner)):
        raise RefusedError(400, f'invalid input syntax for type integer: "{owner}"')
    try:
        date.fromisoformat(str(row["target_date"])[:10])
    except ValueError:
        raise RefusedError(400, f'invalid input syntax for type date: "{row["target_date"]}"') from None
    # The model may belong to another organization: references are not checked.
    if model is not None and not (isinstance(model, int) and call.state.find("model", model)):
        raise RefusedError(400, "insert or update violates foreign key constraint on model_id")
