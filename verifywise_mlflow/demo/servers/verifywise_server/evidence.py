"""The evidence hub. Separate links assign files to evidence; A2 loses these links."""

from __future__ import annotations

from verifywise_mlflow.demo.servers.verifywise_server import history
from verifywise_mlflow.demo.servers.verifywise_server.fields import check_lengths, integers
from verifywise_mlflow.demo.servers.verifywise_server.messages import Call, RefusedError, Response, envelope
from verifywise_mlflow.demo.servers.verifywise_server.state import Document

_FIELDS = ("evidence_name", "evidence_type", "description", "expiry_date", "mapped_model_ids")
_LINKED = ("filename", "size", "mimetype", "upload_date", "uploaded_by")


def list_evidence(call: Call) -> Response:
    """Answer ``GET /evidenceHub``."""
    return envelope(200, [_shown(call, row) for row in call.state.all("evidence", call.caller.organization)])


def get_evidence(call: Call) -> Response:
    """Answer ``GET /evidenceHub/:id``: 204 if there is no such entry."""
    row = call.state.find("evidence", call.identifier(on_error=400), call.caller.organization)
    return Response(204) if row is None else envelope(200, _shown(call, row))


def create_evidence(call: Call) -> Response:
    """Answer ``POST /evidenceHub``. A2 responds with 201 and drops the files."""
    content = call.json()
    if call.dialect.requires_evidence_description and "description" not in content:
        raise RefusedError(500, "Named replacement :description has no entry in the replacement map")
    row: Document = {**dict.fromkeys(_FIELDS), "mapped_model_ids": []}
    row |= {name: value for name, value in content.items() if name in _FIELDS}
    row |= {"created_at": call.timestamp, "updated_at": call.timestamp}
    check_lengths(row, ("evidence_name", "evidence_type"), status=500)
    stored = call.state.add("evidence", call.caller.organization, row)
    for model in integers(stored["mapped_model_ids"]):
        history.record(call, "model_history", model, "Evidence added", new=stored["evidence_name"])
    if not call.dialect.drops_evidence_files:
        _link(call, stored, content.get("evidence_files"))
    return envelope(201, _shown(call, stored))


def update_evidence(call: Call) -> Response:
    """Answer ``PATCH /evidenceHub/:id``."""
    row = _row(call)
    content = call.json()
    if call.dialect.drops_evidence_files and content.get("evidence_files"):
        raise RefusedError(500, "column does not exist")
    changes = {name: value for name, value in content.items() if name in _FIELDS}
    updated = {**row, **changes, "updated_at": call.timestamp}
    check_lengths(updated, ("evidence_name", "evidence_type"), status=500)
    before = integers(row["mapped_model_ids"])
    # Without the key ``mapped_model_ids``, the history records that every model was removed, although the models stay.
    default = [] if call.dialect.forgets_models_of_evidence else before
    after = integers(content.get("mapped_model_ids", default))
    for model in before:
        if model not in after:
            history.record(call, "model_history", model, "Evidence removed", old=row["evidence_name"])
    for model in after:
        if model not in before:
            history.record(call, "model_history", model, "Evidence added", new=updated["evidence_name"])
    call.state.replace("evidence", updated)
    _link(call, row, content.get("evidence_files"))
    return envelope(200, _shown(call, updated))


def delete_evidence(call: Call) -> Response:
    """Answer ``DELETE /evidenceHub/:id``."""
    row = _row(call)
    for model in integers(row["mapped_model_ids"]):
        history.record(call, "model_history", model, "Evidence removed", old=row["evidence_name"])
    call.state.delete("evidence", row["id"])
    return envelope(200, "Evidence deleted successfully")


def _row(call: Call) -> Document:
    row = call.state.find("evidence", call.identifier(on_error=400), call.caller.organization)
    if row is None:
        raise RefusedError(404, "Evidence not found")
    return row


def _link(call: Call, row: Document, files: object) -> None:
    linked = {link["file_id"] for link in call.state.matching("link", None, row["id"])}
    for file in files if isinstance(files, list) else ():
        identifier = file.get("id") if isinstance(file, dict) else None
        if isinstance(identifier, int | str) and str(identifier).isdecimal() and int(identifier) not in linked:
            call.state.add("link", call.caller.organization, {"file_id": int(identifier), "evidence_id": row["id"]})


def _shown(call: Call, row: Document) -> Document:
    files = []
    for link in call.state.matching("link", None, row["id"]):
        identifier = link["file_id"]
        assert isinstance(identifier, int)
        file = call.state.find("file", identifier)
        if file is not None:
            files.append({"id": identifier, **{name: file[name] for name in _LINKED}})
    return {**row, "evidence_files": files}
