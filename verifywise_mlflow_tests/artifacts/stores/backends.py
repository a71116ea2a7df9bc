"""A bucket of each kind of store on a real server: how to fill it, and its description for ``tenants.yaml``."""

from __future__ import annotations

import base64
import hmac
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import boto3
import urllib3
from pydantic import TypeAdapter

from verifywise_mlflow.artifacts.stores.azure import AzureApi
from verifywise_mlflow.artifacts.stores.resolver import ArtifactStores
from verifywise_mlflow.artifacts.stores.settings import StoreSettings
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow.tenants.artifact_stores import ArtifactStore
from verifywise_mlflow_tests.artifacts.stores.servers import AZURITE_ACCOUNT, AZURITE_KEY

_JSON = {"Content-Type": "application/json"}
_MULTIPART = {"Content-Type": 'multipart/related; boundary="part"'}
_STORE: TypeAdapter[ArtifactStore] = TypeAdapter(ArtifactStore)
SERVER = ConnectionSettings("https://mlflow.example", limits=Limits(max_attempts=2, retry_deadline_seconds=5.0))
"""The tenant's own server, whose limits apply to its stores. It does not exist: no request may be sent to it."""


def store_settings(description: Mapping[str, object], server: ConnectionSettings = SERVER) -> StoreSettings:
    """Return the settings of a store as described in ``tenants.yaml``."""
    return _STORE.validate_python(dict(description)).store_settings(server)


def open_stores(
    *descriptions: Mapping[str, object], allowed_locations: tuple[str, ...] | None = None
) -> ArtifactStores:
    """Return the stores of a tenant with these descriptions."""
    return ArtifactStores([store_settings(description) for description in descriptions], allowed_locations)


@dataclass(frozen=True, slots=True)
class Backend:
    """A new, empty bucket on a real server."""

    uri: str
    """The bucket's URI."""
    put: Callable[[str, bytes], None]
    """Writes an object."""
    description: Mapping[str, object] = field(repr=False)
    """The store's description without its prefix."""

    def open_stores(self, prefix: str = "", **more: object) -> ArtifactStores:
        """Return stores with this bucket, or a folder of it."""
        return open_stores({"prefix": f"{self.uri}/{prefix}" if prefix else self.uri, **self.description, **more})

    def fill(self, objects: Mapping[str, bytes]) -> None:
        """Write objects."""
        for key, content in objects.items():
            self.put(key, content)


def s3(endpoint: str) -> Backend:
    """Create an S3 bucket."""
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    )
    client.create_bucket(Bucket=bucket)
    return Backend(
        f"s3://{bucket}",
        lambda key, content: client.put_object(Bucket=bucket, Key=key, Body=content),
        {
            "endpoint": endpoint,
            "access_key_id": "env:STORE_KEY_ID",
            "secret_access_key": "env:STORE_SECRET",
            "allow_private_network": True,
        },
    )


def gcs(endpoint: str) -> Backend:
    """Create a Cloud Storage bucket."""
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    _send("POST", f"{endpoint}/storage/v1/b?project=test", f'{{"name": "{bucket}"}}'.encode(), _JSON)

    def put(key: str, content: bytes) -> None:
        # The emulator accepts an empty object only in this form.
        parts = [_part("application/json", json.dumps({"name": key}).encode()), _part("text/plain", content)]
        query = "?uploadType=multipart"
        body = b"".join(parts) + b"--part--"
        _send("POST", f"{endpoint}/upload/storage/v1/b/{bucket}/o{query}", body, _MULTIPART)

    return Backend(f"gs://{bucket}", put, {"endpoint": endpoint, "allow_private_network": True})


def _part(content_type: str, content: bytes) -> bytes:
    return f"--part\r\nContent-Type: {content_type}\r\n\r\n".encode() + content + b"\r\n"


def azure(endpoint: str, scheme: str = "abfss", service: str = "dfs") -> Backend:
    """Create a Blob Storage container."""
    container = f"container-{uuid.uuid4().hex[:12]}"
    _send_to_azure("PUT", f"{endpoint}/{container}?restype=container", b"")

    def put(key: str, content: bytes) -> None:
        _send_to_azure("PUT", f"{endpoint}/{container}/{quote(key, safe='/-_.~')}", content)

    return Backend(
        f"{scheme}://{container}@{AZURITE_ACCOUNT}.{service}.core.windows.net",
        put,
        {"endpoint": endpoint, "account_key": "env:STORE_SECRET", "allow_private_network": True},
    )


def sas_query(container: str) -> str:
    """Return a shared access signature of Azurite's account, to list and read one container for an hour."""
    expiry = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    version = AzureApi.headers["x-ms-version"]
    # https://learn.microsoft.com/rest/api/storageservices/create-service-sas, 2020-12-06 and later
    fields_to_sign = [
        "rl",
        "",
        expiry,
        f"/blob/{AZURITE_ACCOUNT}/{container}",
        "",
        "",
        "",
        version,
        "c",
        "",
        "",
        *[""] * 5,
    ]
    digest = hmac.digest(base64.b64decode(AZURITE_KEY), "\n".join(fields_to_sign).encode(), "sha256")
    query = {"sv": version, "se": expiry, "sr": "c", "sp": "rl", "sig": base64.b64encode(digest).decode()}
    return urlencode(query)


def _send_to_azure(method: str, url: str, content: bytes) -> None:
    headers = {"x-ms-version": AzureApi.headers["x-ms-version"], "x-ms-blob-type": "BlockBlob"}
    _send(method, url, content, _signed(method, url, content, headers))


def _signed(method: str, url: str, content: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    dated_headers = {**headers, "x-ms-date": date}
    path, _, query = url.partition("://")[2].partition("/")[2].partition("?")
    lines = [method, "", "", str(len(content)) if content else "", *[""] * 8]
    lines += [f"{name}:{value}" for name, value in sorted(dated_headers.items())]
    lines += [f"/{AZURITE_ACCOUNT}/{path}", *(":".join(pair.split("=")) for pair in sorted(query.split("&")) if pair)]
    digest = hmac.digest(base64.b64decode(AZURITE_KEY), "\n".join(lines).encode(), "sha256")
    return {**dated_headers, "Authorization": f"SharedKey {AZURITE_ACCOUNT}:{base64.b64encode(digest).decode()}"}


def _send(method: str, url: str, content: bytes, headers: Mapping[str, str]) -> None:
    response = urllib3.request(method, url, body=content, headers=headers, retries=False)
    assert response.status in (200, 201), response.data
