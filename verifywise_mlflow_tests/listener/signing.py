"""Deliveries signed by MLflow's own function, so that the tests do not repeat our reading of it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping

import urllib3
from mlflow.webhooks.delivery import _generate_hmac_signature


def signature(secret: str, delivery_id: str, timestamp: str, body: str) -> str:
    """Return the value that MLflow sends as ``X-MLflow-Signature``."""
    signed: str = _generate_hmac_signature(secret, delivery_id, timestamp, body)
    return signed


def tag_event(name: str = "churn", version: str = "3") -> str:
    """Return the body of an event: somebody set a tag of a version."""
    data = {"name": name, "version": version, "key": "owner", "value": "Ada"}
    return json.dumps({"entity": "model_version_tag", "action": "set", "timestamp": "2026-01-01", "data": data})


def headers_of(
    secret: str, body: str, *, delivery_id: str | None = None, signed_seconds_ago: float = 0
) -> dict[str, str]:
    """Return the headers of a delivery."""
    delivery_id = delivery_id or str(uuid.uuid4())
    timestamp = str(int(time.time() - signed_seconds_ago))
    return {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": delivery_id,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": signature(secret, delivery_id, timestamp, body),
    }


def post(url: str, body: str | bytes, headers: Mapping[str, str], timeout: float = 20) -> urllib3.BaseHTTPResponse:
    """Deliver once, without MLflow's retries and on a connection of its own."""
    content = body.encode() if isinstance(body, str) else body
    sent = {**headers, "Connection": "close"}
    return urllib3.request("POST", url, body=content, headers=sent, retries=False, timeout=timeout)
