"""The file manager: uploads by type, metadata, downloads, and the attachment of a file to evidence."""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath

from verifywise_mlflow.demo.servers.verifywise_server import history
from verifywise_mlflow.demo.servers.verifywise_server.auth import require_role
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.messages import Call, RefusedError, Response, envelope
from verifywise_mlflow.demo.servers.verifywise_server.multipart import read_form
from verifywise_mlflow.demo.servers.verifywise_server.state import Document

MAX_FILE_BYTES = 30 * 1024**2
MAX_LISTED = 1_000
MAX_PAGE = 100
_UPLOADERS = ("Admin", "Reviewer", "Editor")
_EXTENSIONS = {
    "application/pdf": {".pdf"},
    "application/msword": {".doc"},
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": {".docx"},
    "application/vnd.ms-excel": {".xls"},
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {".xlsx"},
    "text/csv": {".csv"},
    "text/markdown": {".md"},
    "image/png": {".png"},
    "image/jpeg": {".jpg", ".jpeg"},
}
"""Maps media types to extensions: the type and the extension of a file must agree. JSON, plain text and archives are
not allowed."""
_REVIEW_STATUSES = ("draft", "pending_review", "approved", "rejected", "expired", "superseded")
_LISTED = ("id", "filename", "size", "mimetype", "upload_date", "uploaded_by", "review_status")
_SHOWN = (*_LISTED, "modelId")


def upload(call: Call) -> Response:
    """Answer ``POST /file-manager``."""
    require_role(call, *_UPLOADERS)
    fields, files = read_form(call.request)
    file = files.get("file")
    if file is None:
        raise RefusedError(400, "No file provided")
    if PurePosixPath(file.filename).suffix.lower() not in _EXTENSIONS.get(file.media_type, ()):
        raise RefusedError(415, "Unsupported file type.")
    if len(file.content) > MAX_FILE_BYTES:
        raise RefusedError(413, "File size exceeds maximum allowed size of 30MB")
    if not file.content:
        raise RefusedError(400, "File is empty")
    model = fields.get("model_id", "")
    row = call.state.add(
        "file",
        call.caller.organization,
        {
            "filename": file.filename,
            "size": len(file.content),
            "mimetype": file.media_type,
            "upload_date": call.timestamp,
            "uploaded_by": call.caller.user,
            "modelId": int(model) if model.isdecimal() else None,
            "source": fields.get("source") or "File Manager",
            "review_status": "draft",
            "version": "1.0",
            "tags": [],
            "expiry_date": None,
            "description": None,
            "content": file.content.decode("latin-1"),
        },
    )
    history.record(call, "file_history", row["id"], "created")
    return envelope(201, {name: row[name] for name in _SHOWN})


def list_files(call: Call) -> Response:
    """Answer ``GET /file-manager``, newest first: a page of at most 100 files; without a page, the first 1,000."""
    rows = call.state.all("file", call.caller.organization)[::-1]
    page, size = (_positive(call, name) for name in ("page", "pageSize"))
    if page is None or size is None:
        shown, pages = rows[:MAX_LISTED], 1
    else:
        size = min(size, MAX_PAGE)
        shown, pages = rows[(page - 1) * size : page * size], math.ceil(len(rows) / size)
    return envelope(
        200,
        {
            "files": [{name: row[name] for name in _LISTED} for row in shown],
            "pagination": {"total": len(rows), "page": page, "pageSize": size, "totalPages": pages},
        },
    )


def _positive(call: Call, name: str) -> int | None:
    text = call.request.query.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise RefusedError(400, f"{name} must be a positive integer")
    return int(text)


def get_metadata(call: Call) -> Response:
    """Answer ``GET /file-manager/:id/metadata``."""
    return envelope(200, _without_content(_row(call)))


def update_metadata(call: Call) -> Response:
    """Answer ``PATCH /file-manager/:id/metadata``."""
    require_role(call, *_UPLOADERS)
    row = _row(call)
    names = ("tags", "review_status", "version", "expiry_date", "description")
    changes = {name: value for name, value in call.json().items() if name in names}
    if changes.get("review_status", "draft") not in _REVIEW_STATUSES:
        raise RefusedError(400, f"Invalid review status. Must be one of: {', '.join(_REVIEW_STATUSES)}")
    if not re.fullmatch(r"\d+\.\d+", str(changes.get("version", "1.0"))):
        raise RefusedError(400, "Version must be in format X.Y")
    tags = changes.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and re.fullmatch(r"[\w\s-]+", tag) for tag in tags):
        raise RefusedError(400, "Tags can only contain letters, numbers, spaces, hyphens, and underscores")
    history.record_changes(call, "file_history", row, changes)
    call.state.replace("file", {**row, **changes})
    return envelope(200, _without_content({**row, **changes}))


def download(call: Call) -> Response:
    """Answer ``GET /file-manager/:id``, in A1 and A2 for an Admin only. Content is sent as text: our files are text."""
    if call.dialect is not Dialect.B:
        require_role(call, "Admin")
    return Response(200, str(_row(call)["content"]))


def attach(call: Call) -> Response:
    """Answer ``POST /files/attach``: 500 in A2; 200 if the file is attached already."""
    content = call.json()
    file, evidence = content.get("file_id"), content.get("entity_id")
    if not isinstance(file, int) or call.state.find("file", file, call.caller.organization) is None:
        raise RefusedError(404, "File not found")
    if content.get("framework_type") != "evidence_hub" or content.get("entity_type") != "evidence":
        raise RefusedError(400, "Invalid framework_type or entity_type")
    if not isinstance(evidence, int):
        raise RefusedError(400, "Invalid entity_id")
    if call.dialect.drops_evidence_files:
        raise RefusedError(500, "column does not exist")
    if any(link["file_id"] == file for link in call.state.matching("link", None, evidence)):
        return envelope(200, {"message": "File is already attached"})
    link = call.state.add("link", call.caller.organization, {"file_id": file, "evidence_id": evidence})
    return envelope(201, link)


def _row(call: Call) -> Document:
    row = call.state.find("file", call.identifier(on_error=400), call.caller.organization)
    if row is None:
        raise RefusedError(404, "File not found")
    return row


def _without_content(row: Document) -> Document:
    return {name: value for name, value in row.items() if name != "content"}
