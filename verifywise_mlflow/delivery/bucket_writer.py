"""Writes objects to a bucket with S3's interface. It uses only PutObject, with Signature Version 4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Final

from verifywise_mlflow.artifacts.stores.protocol import escape_key
from verifywise_mlflow.artifacts.stores.s3 import S3Signer
from verifywise_mlflow.http.client import ResponseLimit
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.http.request_auth import WriteRequest
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.sigv4 import AwsKeys
from verifywise_mlflow.http.status_errors import Remedies, error_of_status
from verifywise_mlflow.http.writing_client import WritingHttpClient
from verifywise_mlflow.tenants.bucket import WritableBucket
from verifywise_mlflow.tenants.connection import proxy_settings

_ATTEMPTS: Final = 3
"""The maximum number of attempts to write an object. Writing the same object again changes nothing."""
_LIMIT: Final = ResponseLimit(60.0, max_bytes=64 * 1024)
_REMEDIES: Remedies = {
    403: "The credentials may not write objects there, or belong to another store.",
    404: "There is no such bucket.",
    300: "Check the endpoint and the region.",
}


class BucketWriter:
    """Writes objects. Several threads may use the same writer."""

    def __init__(self, base_url: str, client: WritingHttpClient) -> None:
        self._base_url, self._client = base_url, client

    def put(self, key: str, content: bytes, headers: Mapping[str, str]) -> Response:
        """Write an object and return the response.

        Raises:
            HttpError: The object could not be written.
        """
        request = WriteRequest("PUT", f"{self._base_url}/{escape_key(key)}", headers, content, "object")
        for attempt in count(1):
            try:
                return self._client.write(request, _LIMIT)
            except HttpError as error:
                if attempt == _ATTEMPTS or not error.retryable:
                    raise
        raise AssertionError("count does not end")


@contextmanager
def open_bucket(settings: WritableBucket, name: str, remedies: Remedies = _REMEDIES) -> Iterator[BucketWriter]:
    """Open connections to a bucket; no request is sent yet.

    Args:
        settings: The bucket.
        name: The bucket's name in messages.
        remedies: What to do about the statuses of responses.

    Raises:
        HttpError: The settings cannot be used.
        SecretUnavailableError: A reference cannot be resolved.
    """
    endpoint = settings.endpoint or f"https://s3.{settings.region}.amazonaws.com"
    is_path_style = settings.path_style if settings.path_style is not None else settings.endpoint is not None
    scheme, _, host = endpoint.partition("://")
    base_url = f"{endpoint}/{settings.bucket}" if is_path_style else f"{scheme}://{settings.bucket}.{host}"

    def credentials() -> S3Signer:
        token = settings.session_token.resolve() if settings.session_token else None
        keys = AwsKeys(settings.access_key_id.resolve(), settings.secret_access_key.resolve(), token)
        return S3Signer(keys, settings.region)

    tls = settings.tls
    connection = ConnectionSettings(
        base_uri=base_url,
        credentials=credentials,
        allow_private_network=settings.allow_private_network,
        ca_bundle=tls.ca_bundle,
        client_certificate=tls.client_certificate,
        client_key=tls.client_key,
        tls_strict=tls.strict,
        proxy=proxy_settings(settings.proxy),
    )

    def error_from(response: Response) -> HttpError:
        sentence = f"{name} responded with {response.status}"
        return error_of_status(response.status, response.headers, sentence, remedies)

    client = WritingHttpClient(connection, error_from, headers={}, decompress=False, server=name)
    try:
        yield BucketWriter(base_url, client)
    finally:
        client.close()
