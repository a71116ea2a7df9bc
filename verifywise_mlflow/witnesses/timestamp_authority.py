"""A time-stamp authority (RFC 3161) as a witness: it signs the time at which a checkpoint existed. It stores nothing.

Since it stores nothing, the tenant's other witnesses receive its token together with the checkpoint.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from verifywise_mlflow.delivery.http_post import Receiver
from verifywise_mlflow.http.client import HttpClient, ResponseLimit
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.http.request_auth import ReadRequest
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.status_errors import error_of_status
from verifywise_mlflow.tenants.delivery.receiver import ReceiverSettings
from verifywise_mlflow.tenants.validators import AbsolutePath, http_uri
from verifywise_mlflow.witnesses.stamped_checkpoint import StampedCheckpoint
from verifywise_mlflow.witnesses.witness import Receipt, WitnessError, WitnessSettings

TOKEN: Final = "timestamp_token"  # noqa: S105  # the member of a receipt, no secret
NEEDS_EXTRA: Final = (
    "time stamps need rfc3161-client, which is not installed: pip install 'verifywise-mlflow[timestamps]'"
)
_LIMIT: Final = ResponseLimit(10.0, max_bytes=64 * 1024)


class TimestampAuthority(WitnessSettings, ReceiverSettings):
    """An authority. Its tokens are signed, so the connection need not be encrypted, as with most public authorities."""

    kind: Literal["timestamp"] = "timestamp"
    url: str
    roots: AbsolutePath
    """PEM file of the root certificates that its tokens are verified with."""
    interval_minutes: Annotated[int, Field(ge=10, le=7 * 24 * 60)] = 24 * 60

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return http_uri(url, "http://timestamp.example.com", server_kind="authority", section="headers", query=True)

    def store(self, tenant_id: str, stamped: StampedCheckpoint) -> Receipt:
        """Request a token over the checkpoint's line and verify it."""
        del tenant_id  # the authority receives only a hash
        label = f"the witness {self.name}"
        try:
            from verifywise_mlflow.witnesses.timestamp_token import (
                InvalidTokenError,
                TimestampRequest,
                UnusableRootsError,
                load_roots,
            )
        except ModuleNotFoundError:
            raise WitnessError(f"{label}: {NEEDS_EXTRA}") from None
        request = TimestampRequest.over(stamped.stamped_line)
        response = self._post(request.to_der(), label)
        try:
            token, time = request.token_in(response, load_roots(self.roots))
        except (InvalidTokenError, UnusableRootsError) as error:
            raise WitnessError(f"{label}: {error}") from None
        return {TOKEN: b64encode(token).decode("ascii"), "time": time.isoformat()}

    def _post(self, query: bytes, label: str) -> bytes:
        def error_from(response: Response) -> HttpError:
            return error_of_status(response.status, response.headers, f"{label} responded with {response.status}", {})

        receiver = Receiver.of(self, self.url, label)
        client = HttpClient(receiver.connection, error_from, headers=receiver.headers, decompress=False, server=label)
        try:
            headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
            return client.fetch(ReadRequest("POST", self.url, headers, query), _LIMIT).body
        finally:
            client.close()
