"""Tenants that together have a secret in each field that takes a secret, at servers that echo their requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from verifywise_mlflow_tests.support.hostile_server import HostileServer, ReceivedRequest, make_response
from verifywise_mlflow_tests.support.planted_secrets import Canaries

S3_KEYS: Final = ("access_key_id", "secret_access_key", "session_token")


def tenants_with_secrets(
    secret: Callable[..., str], canaries: Canaries, echo: HostileServer, private: HostileServer, directory: Path
) -> dict[str, dict[str, object]]:
    """Return tenants that together have a secret in each field that takes a secret."""
    bearer = {"kind": "bearer", "token": secret("bearer token")}
    oauth2 = {"kind": "oauth2", "client_id": "us", "client_secret": secret("oauth2 client_secret")}
    sigv4 = {name: secret(f"sigv4 {name}") for name in S3_KEYS}
    client = directory / "authority-client.pem"
    canaries.key("tls client_key", client.read_text().partition("-----BEGIN PRIVATE")[2])
    return {
        "acme": {
            "auth": bearer,
            "headers": {"X-Key": secret("header")},
            "webhooks": {"path": secret("webhooks path"), "secret": [secret("webhooks secret")]},
            "artifacts": {"stores": stores(secret, canaries, echo)},
            "delivery": deliveries(secret, canaries, echo),
            "report": {
                "bucket": {
                    "uri": "s3://reports/governance",
                    "endpoint": echo.uri,
                    **{name: secret(f"report {name}") for name in S3_KEYS},
                    "allow_private_network": True,
                }
            },
        },
        **{
            f"bearer-{behavior}": {
                "tracking_uri": f"{echo.uri}/{behavior}",
                "auth": bearer,
                "headers": {"X-Key": "env:SECRET_HEADER"},
            }
            for behavior in ("refusing", "naming", "forbidding", "misled", "tripping")
        },
        "basic": {
            "tracking_uri": f"{echo.uri}/refusing",
            "auth": {"kind": "basic", "username": "us", "password": secret("basic password")},
            "delivery": {
                "verifywise": {
                    "url": f"{echo.uri}/naming",
                    "auth": {"kind": "token", "token": secret("token of VerifyWise", web_token(canaries))},
                    "metrics_token": secret("verifywise metrics_token"),
                    "allow_private_network": True,
                },
                "openlineage": {"transport": kafka(secret)},
            },
        },
        "issued": {"tracking_uri": f"{echo.uri}/refusing", "auth": oauth2 | {"token_uri": f"{echo.uri}/granting"}},
        **{
            f"issuer-{placement}": {
                "tracking_uri": f"{echo.uri}/refusing",
                "auth": oauth2 | {"token_uri": f"{echo.uri}/issuing", "client_authentication": placement},
            }
            for placement in ("basic", "post")
        },
        "sigv4": {
            "tracking_uri": f"{echo.uri}/refusing",
            "auth": {"kind": "sigv4", "region": "eu-west-1", **sigv4},
        },
        "proxied": {
            "tracking_uri": "http://mlflow.example",
            "proxy": {
                "uri": echo.uri,
                "username": "us",
                "password": secret("proxy password"),
                "allow_private_network": True,
            },
        },
        "tls": {
            "tracking_uri": f"{private.uri}/refusing",
            "tls": {"ca_bundle": str(directory / "authority-authority.pem"), "client_certificate": str(client)},
        },
    }


def stores(secret: Callable[..., str], canaries: Canaries, echo: HostileServer) -> list[dict[str, object]]:
    """Return a store of each kind with each kind of credential, all at the echoing server."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {
        "type": "service_account",
        "client_email": "us@project.example",
        "token_uri": f"{echo.uri}/granting",
        "private_key": canaries.key("gcs service_account", pem),
    }
    s3 = {name: secret(f"s3 {name}") for name in S3_KEYS}
    azure_key = canaries.new("azure account_key") + "=="
    azure = "abfss://box@{}.dfs.core.windows.net"
    store_settings: list[dict[str, object]] = [
        {"prefix": "s3://bucket", "endpoint": echo.uri, **s3},
        {"prefix": "gs://bucket", "endpoint": echo.uri, "service_account": secret("gcs", json.dumps(account))},
        {"prefix": azure.format("one"), "endpoint": echo.uri, "account_key": secret("azure", azure_key)},
        {"prefix": azure.format("two"), "endpoint": echo.uri, "sas_token": secret("azure sas_token")},
        {
            "prefix": azure.format("three"),
            "endpoint": echo.uri,
            "authority": f"{echo.uri}/issuing",
            "tenant_id": "directory",
            "client_id": "us",
            "client_secret": secret("azure client_secret"),
        },
        {
            "prefix": f"{echo.uri}/one/mlflow-artifacts/artifacts",
            "auth": {"kind": "basic", "username": "us", "password": secret("web password")},
        },
        {
            "prefix": f"{echo.uri}/two/mlflow-artifacts/artifacts",
            "auth": {"kind": "bearer", "token": secret("web token")},
        },
    ]
    return [{**store, "allow_private_network": True, "prefer": "direct"} for store in store_settings]


def deliveries(secret: Callable[..., str], canaries: Canaries, echo: HostileServer) -> dict[str, object]:
    """Return a target of each kind, all at the echoing server."""
    webhook_url = f"{echo.uri}/tripping/{canaries.new('webhook url')}"
    signing_secret = base64.b64encode(canaries.new("webhook signing_secret").encode()).decode()
    return {
        "verifywise": {
            "url": f"{echo.uri}/refusing",
            "auth": {"kind": "login", "email": "us@bank.example", "password": secret("verifywise password")},
            "versions": "all",
            "allow_private_network": True,
        },
        "webhooks": [
            {
                "name": "operations",
                "url": secret("webhook", webhook_url),
                "signing_secrets": [secret("signing", f"whsec_{signing_secret}")],
                "headers": {"X-Key": secret("webhook header")},
                "allow_private_network": True,
            }
        ],
        "openlineage": {
            "transport": {
                "kind": "http",
                "url": f"{echo.uri}/forbidding",
                "api_key": secret("openlineage api_key"),
                "headers": {"X-Key": secret("openlineage header")},
                "allow_private_network": True,
            }
        },
    }


def witnesses(secret: Callable[..., str], canaries: Canaries, echo: HostileServer) -> list[dict[str, object]]:
    """Return a witness of each kind that has secrets, all at the echoing server."""
    url = f"{echo.uri}/tripping/{canaries.new('witness url')}"
    signing_secret = base64.b64encode(canaries.new("witness signing_secret").encode()).decode()
    return [
        {
            "kind": "webhook",
            "name": "auditor",
            "url": secret("witness", url),
            "signing_secrets": [secret("witness signing", f"whsec_{signing_secret}")],
            "headers": {"X-Key": secret("witness header")},
            "allow_private_network": True,
        },
        {
            "kind": "bucket",
            "name": "locked",
            "uri": "s3://checkpoints",
            "endpoint": echo.uri,
            **{name: secret(f"witness {name}") for name in S3_KEYS},
            "retention_days": 1,
            "allow_private_network": True,
        },
        {
            "kind": "timestamp",
            "name": "authority",
            "url": f"{echo.uri}/refusing",
            "roots": "/roots.pem",
            "headers": {"X-Key": secret("timestamp header")},
            "allow_private_network": True,
        },
    ]


def web_token(canaries: Canaries) -> str:
    """Return a token with the claims of a VerifyWise token and with a canary as its signature."""
    claims = json.dumps({"id": 1, "organizationId": 1, "roleName": "Admin"}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.{canaries.new('verifywise token')}"


def kafka(secret: Callable[..., str]) -> dict[str, object]:
    """Return the settings of a cluster that does not exist."""
    return {
        "kind": "kafka",
        "bootstrap_servers": ["kafka.invalid:9093"],
        "topic": "lineage",
        "allow_private_network": True,
        "sasl": {"mechanism": "PLAIN", "username": "us", "password": secret("kafka password")},
    }


def prefixes(tenants: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return the locations of the stores of the tenant acme."""
    artifacts = cast("Mapping[str, list[dict[str, str]]]", tenants["acme"]["artifacts"])
    return [store["prefix"] for store in artifacts["stores"]]


def echoing(issued_token: str) -> object:
    """Return a script for a hostile server. The first part of the path selects how it echoes."""

    def script(_server: HostileServer, request: ReceivedRequest) -> bytes:
        description = _describe(request)
        in_a_line = " ".join(description.split())
        if request.target.startswith("http://"):  # it acts as a proxy
            return make_response(description, 407).replace(b"Whatever", in_a_line.encode())
        match request.target.split("?")[0].split("/")[1]:
            case "granting":
                return make_response(json.dumps({"access_token": issued_token, "token_type": "Bearer"}))
            case "issuing":
                return make_response(json.dumps({"error": "invalid_client", "error_description": description}), 401)
            case "refusing":
                return make_response(json.dumps({"error_code": "UNAUTHENTICATED", "message": description}), 401)
            case "naming":
                return make_response(json.dumps({"error_code": in_a_line, "message": description}), 400)
            case "forbidding":
                return make_response(f"<html>{description}</html>", 403, "text/html")
            case "misled":
                return make_response(f"<html>{description}</html>", 200, in_a_line)
            case "tripping":
                return make_response(description, 500, "text/plain", {"Retry-After": "0", "X-Said": in_a_line})
            case _:  # a store
                return make_response(
                    f"<Error><Code>SignatureDoesNotMatch</Code><Message>{description}</Message></Error>", 403
                )

    return script


def _describe(request: ReceivedRequest) -> str:
    """Describe a request. Credentials come first, since excerpts are short. Basic authentication is also decoded."""
    values = sorted(
        request.headers.items(), key=lambda header: header[0] not in {"authorization", "proxy-authorization"}
    )
    unwrapped = [base64.b64decode(value[6:]).decode() for _, value in values if value.startswith("Basic ")]
    return "\n".join(
        [*unwrapped, *(value for _, value in values), request.body.decode(errors="replace"), request.target]
    )


def received_data(server: HostileServer) -> bytes:
    """Return everything that the server received."""
    return "\n".join(_describe(request) for request in server.requests).encode()
