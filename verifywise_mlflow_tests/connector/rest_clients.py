"""REST clients for tests: with two secrets that must not leak, and limits that a test can wait for."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.errors import (
    HttpError,
)
from verifywise_mlflow.http.request_auth import StaticHeaders
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.support.hostile_server import (
    json_response,
)

BASIC_AUTH = "Basic c2VjcmV0OnNlY3JldA=="
GATEWAY_KEY = "gateway-key-5f3a"
SHORT_LIMITS = Limits(
    connect_timeout_seconds=1,
    request_timeout_seconds=0.6,
    file_timeout_seconds=0.9,
    max_attempts=1,
    max_response_bytes=50_000,
)
SEARCH_MODELS_PATH = MlflowEndpoint.SEARCH_MODELS.path()
NOT_FOUND_RESPONSE = json_response({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such thing"}, 404)


def client_for(uri: str, limits: Limits = SHORT_LIMITS) -> RestClient:
    """Return a client with two secrets that may connect to any address."""
    return RestClient(
        ConnectionSettings(
            uri,
            credentials=lambda: StaticHeaders({"Authorization": BASIC_AUTH, "X-Gateway-Key": GATEWAY_KEY}),
            allow_private_network=True,
            limits=limits,
        )
    )


def request_error(client: RestClient) -> HttpError:
    """Return the error that a request to the server raises."""
    with pytest.raises(HttpError) as caught:
        client.get_json(MlflowEndpoint.SEARCH_MODELS)
    return caught.value
