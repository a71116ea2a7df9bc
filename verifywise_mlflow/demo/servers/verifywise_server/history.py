"""Change histories: who created and changed an object, field by field."""

from __future__ import annotations

from collections.abc import Mapping

from verifywise_mlflow.demo.servers.verifywise_server.messages import Call, Response, envelope
from verifywise_mlflow.demo.servers.verifywise_server.state import Document, Kind


def record(
    call: Call,
    kind: Kind,
    entity_id: object,
    action: str,
    *,
    field: str | None = None,
    old: object = None,
    new: object = None,
) -> None:
    """Add one entry to an object's history."""
    user = call.state.find("user", call.caller.user) or {}
    call.state.add(
        kind,
        call.caller.organization,
        {
            "entity_id": entity_id,
            "action": action,
            "field_name": field,
            "old_value": _text(old),
            "new_value": _text(new),
            "changed_by_user_id": call.caller.user,
            "user_email": user.get("email"),
            "changed_at": call.timestamp,
        },
    )


def record_changes(call: Call, kind: Kind, old: Document, new: Mapping[str, object]) -> None:
    """Add an entry for each field that changes. If nothing changes, no entry is added."""
    for field, value in new.items():
        if field != "updated_at" and old.get(field) != value:
            record(call, kind, old["id"], "updated", field=field, old=old.get(field), new=value)


def answer(call: Call, kind: Kind) -> Response:
    """Answer ``GET /…-change-history/:id``, newest first."""
    entity = call.identifier(on_error=500)
    entries = call.state.matching(kind, call.caller.organization, entity)
    return envelope(200, {"data": entries[::-1], "hasMore": False})


def _text(value: object) -> str:
    return "-" if value in (None, "", []) else str(value)
