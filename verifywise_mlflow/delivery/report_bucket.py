"""Uploads a report to a bucket with S3's interface: PutObject, Signature Version 4, and nothing else.

A bucket cannot exchange a folder at once. So each report has a path of its own, and the last object that is written is
a start page that leads to it: readers see the earlier report or the new one. Earlier ones stay until the bucket's own
lifecycle rule deletes them, so the credentials need no right to read, list or delete.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html import escape
from itertools import repeat
from pathlib import Path
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
from verifywise_mlflow.tenants.connection import proxy_settings
from verifywise_mlflow.tenants.report import ReportBucket

START_PAGE: Final = "index.html"
MAX_CONCURRENT: Final = 8
"""Objects that are written at a time: a report has thousands of them."""
_ATTEMPTS: Final = 3
"""Of each object. Writing the same object again changes nothing."""
_LIMIT: Final = ResponseLimit(60.0, max_bytes=64 * 1024)
_CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
}
_REMEDIES: Remedies = {
    403: "The credentials may not write objects there, or belong to another store.",
    404: "There is no such bucket.",
    300: "Check the endpoint and the region.",
}


def upload_report(folder: Path, settings: ReportBucket, name: str, edition: str) -> str:
    """Upload a report and return the address of its start page, such as ``s3://bucket/reports/acme/index.html``.

    Args:
        folder: the folder of the report.
        settings: the bucket.
        name: the name of the report in the bucket, which stays: the tenant's.
        edition: the name of this report among those of the tenant.

    Raises:
        HttpError: an object could not be written. The start page still leads to the earlier report.
        SecretUnavailableError: a reference cannot be resolved.
        OSError: a file cannot be read.
    """
    base = f"{settings.path}{name}/"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with _client(settings) as bucket, ThreadPoolExecutor(MAX_CONCURRENT, "upload") as threads:

        def put_file(path: Path) -> None:
            bucket.put(f"{base}{edition}/{path.relative_to(folder).as_posix()}", path.read_bytes())

        for _ in threads.map(put_file, files):
            pass
        bucket.put(f"{base}{START_PAGE}", _start_page(edition))
    return f"s3://{settings.bucket}/{base}{START_PAGE}"


class _Bucket:
    """Writes objects. Threads may share it."""

    def __init__(self, base_url: str, client: WritingHttpClient) -> None:
        self._base_url, self._client = base_url, client

    def put(self, key: str, content: bytes) -> None:
        headers = {
            "Content-Type": _CONTENT_TYPES.get(Path(key).suffix, "application/octet-stream"),
            "Cache-Control": "no-cache",
        }
        request = WriteRequest("PUT", f"{self._base_url}/{escape_key(key)}", headers, content, "report object")
        for is_last in (*repeat(False, _ATTEMPTS - 1), True):
            try:
                self._client.write(request, _LIMIT)
            except HttpError as error:
                if is_last or not error.retryable:
                    raise
            else:
                return


@contextmanager
def _client(settings: ReportBucket) -> Iterator[_Bucket]:
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
        sentence = f"the bucket of reports responded with {response.status}"
        return error_of_status(response.status, response.headers, sentence, _REMEDIES)

    client = WritingHttpClient(connection, error_from, headers={}, decompress=False, server="the bucket of reports")
    try:
        yield _Bucket(base_url, client)
    finally:
        client.close()


def _start_page(edition: str) -> bytes:
    """Return the page that leads to a report."""
    target = f"{escape(edition)}/{START_PAGE}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="refresh" content="0; url={target}">\n<title>Model governance report</title>\n</head>\n'
        f'<body><p><a href="{target}">The latest report</a></p></body>\n</html>\n'
    ).encode()
