"""Compares a request with the whole allow-list; the client compares each request only with the endpoint of the call."""

from __future__ import annotations

from verifywise_mlflow.connector.endpoints import DatabricksEndpoint, MlflowEndpoint


def is_allowed_endpoint(method: str, path: str) -> bool:
    """Return whether the method and the path below the server's root are exactly an endpoint of the allow-list."""
    return any(endpoint.matches(method, path) for endpoint in (*MlflowEndpoint, *DatabricksEndpoint))
