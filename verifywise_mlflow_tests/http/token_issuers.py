"""A token issuer of OAuth2, its client, and the settings to reach it."""

from __future__ import annotations

from pathlib import Path

from verifywise_mlflow.http.oauth2 import OAuth2Client
from verifywise_mlflow.http.request_auth import Request
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.support.hostile_server import json_response

SECRET = "s3cr3t of the client+"
TOKEN = "eyJ.issued.token"
SHORT_LIMITS = Limits(connect_timeout_seconds=1, request_timeout_seconds=2, token_timeout_seconds=0.6, max_attempts=1)
REQUEST = Request("GET", "https://mlflow.example/version", {}, None)
CLIENT = OAuth2Client("svc governance", SECRET)


def issuer_settings(
    uri: str, *, limits: Limits = SHORT_LIMITS, allow_private_network: bool = True, ca_bundle: Path | None = None
) -> ConnectionSettings:
    """Return the settings of an issuer at a URI."""
    return ConnectionSettings(
        f"{uri}/token", allow_private_network=allow_private_network, limits=limits, ca_bundle=ca_bundle
    )


def token(value: str = TOKEN, **fields: object) -> bytes:
    """Return a response that issues a token."""
    return json_response({"access_token": value, "token_type": "Bearer", "expires_in": 3600, **fields})
