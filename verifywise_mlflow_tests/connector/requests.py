"""Asks a server of the tests: with secrets that nobody may be told, and bounds that a test can wait for."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.endpoints import ReadCall
from verifywise_mlflow.http.auth import FixedHeaders
from verifywise_mlflow.http.client import Transport
from verifywise_mlflow.http.errors import (
    ConnectorError,
)
from verifywise_mlflow.http.settings import Bounds, ConnectionSettings
from verifywise_mlflow_tests.http.hostile_server import (
    json_answer,
)

SECRET = "Basic c2VjcmV0OnNlY3JldA=="
KEY = "gateway-key-5f3a"
QUICK = Bounds(connect_seconds=1, request_seconds=0.6, file_seconds=0.9, attempts=1, answer_bytes=50_000)
PATH = ReadCall.SEARCH_MODELS.path()
MLFLOWS_404 = json_answer({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such thing"}, 404)


def transport_to(uri: str, bounds: Bounds = QUICK) -> Transport:
    """A transport that may go anywhere, with two secrets."""
    return Transport(
        ConnectionSettings(
            uri,
            credentials=lambda: FixedHeaders({"Authorization": SECRET, "X-Gateway-Key": KEY}),
            allow_private_network=True,
            bounds=bounds,
        )
    )


def error_of(transport: Transport) -> ConnectorError:
    """What a question is answered with, where the server spoils it."""
    with pytest.raises(ConnectorError) as caught:
        transport.get_json(ReadCall.SEARCH_MODELS)
    return caught.value
