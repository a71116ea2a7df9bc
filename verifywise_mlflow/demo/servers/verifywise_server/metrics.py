"""Model risk management, which only dialect B has: metrics that a machine posts with an ingestion token."""

from __future__ import annotations

import hashlib
import math
import secrets
from datetime import datetime, timedelta

from verifywise_mlflow.demo.servers.verifywise_server.auth import require_role
from verifywise_mlflow.demo.servers.verifywise_server.messages import (
    Call,
    ReceivedRequest,
    RefusedError,
    Response,
    envelope,
)
from verifywise_mlflow.demo.servers.verifywise_server.state import Caller, Document, State

_MAX_AHEAD = timedelta(hours=1)


def create_ingestion_token(call: Call) -> Response:
    """Answer ``POST /mrm/ingestion-tokens``: shows the token once."""
    require_role(call, "Admin")
    name = call.json().get("name")
    if not isinstance(name, str) or not name.strip():
        raise RefusedError(400, "A token name is required")
    token = f"mrm_{secrets.token_hex(32)}"
    content = {"name": name, "hash": _hash(token), "organization_id": call.caller.organization}
    row = call.state.add("ingestion_token", call.caller.organization, content)
    return envelope(201, {"id": row["id"], "name": name, "token": token})


def identify(request: ReceivedRequest, state: State) -> Caller:
    """Return the owner of a request's ingestion token.

    Raises:
        RefusedError: 401, also for a session token.
    """
    token = request.headers.get("authorization", "").partition(" ")[2]
    for row in state.matching("ingestion_token", None, _hash(token)):
        organization = row["organization_id"]
        assert isinstance(organization, int)
        return Caller(0, organization, "ingestion")
    raise RefusedError(401, "Missing or invalid ingestion token")


def ingest(call: Call) -> Response:
    """Answer ``POST /mrm/models/:external_key/metrics``: a result for each point.

    All points must be valid. If one point of a batch is a duplicate, the first builds lose the new points, although
    their response states that these points were stored.
    """
    content = call.json()
    batch = content.get("points")
    points = [point if isinstance(point, dict) else {} for point in batch] if isinstance(batch, list) else [content]
    checked = [{"index": index, "errors": _errors(call, point)} for index, point in enumerate(points)]
    errors = [entry for entry in checked if entry["errors"]]
    if errors or not points:
        raise RefusedError(422, {"message": "One or more points are invalid", "errors": errors})
    models = call.state.matching("model", call.caller.organization, call.parameters[0])
    if not models:
        raise RefusedError(404, "Model not found for this key")
    rows = [
        {
            "model_id": models[0]["id"],
            "metric": str(point["metric"]),
            "value": point["value"],
            "at": _moment(point["at"]).isoformat(),
            "window": point.get("window") or "",
            "segment": point.get("segment") or "overall",
            "context": point.get("context"),
        }
        for point in points
    ]
    known = [_is_known(call, row) for row in rows]
    if not any(known):
        for row in rows:
            call.state.add("point", call.caller.organization, row)
    results = [
        {"metric": row["metric"], "at": row["at"], "status": "duplicate" if is_known else "no_threshold"}
        for row, is_known in zip(rows, known, strict=True)
    ]
    return envelope(200, {"accepted": known.count(False), "results": results})


def _is_known(call: Call, row: Document) -> bool:
    key = (row[name] for name in ("model_id", "metric", "at", "window", "segment"))
    return bool(call.state.matching("point", call.caller.organization, *key))


def _errors(call: Call, point: Document) -> list[str]:
    metric, value = point.get("metric"), point.get("value")
    errors = []
    if not isinstance(metric, str) or not metric.strip() or len(metric) > 100:
        errors.append("metric is required and must be 100 characters or fewer")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        errors.append("value is required and must be a finite number")
    try:
        if _moment(point.get("at")) > call.now + _MAX_AHEAD:
            errors.append("at is too far in the future")
    except ValueError:
        errors.append("at must be a valid ISO-8601 timestamp")
    return errors


def _moment(at: object) -> datetime:
    moment = datetime.fromisoformat(str(at))
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
