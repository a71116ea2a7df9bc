"""The HTTP client of one artifact store: GET requests whose bytes are returned as they are stored.

It uses ``http/client.py``, with its SSRF guard, deadlines, retries and proxy. A URL may contain a signature, so no
message repeats a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from verifywise_mlflow.http.client import HttpClient, ResponseLimit
from verifywise_mlflow.http.errors import AddressNotAllowedError, HttpError
from verifywise_mlflow.http.pools import concurrency_limit
from verifywise_mlflow.http.request_auth import ReadRequest
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.status_errors import Remedies, error_of_status

MAX_PAGE_BYTES = 64 * 1024**2
"""The largest page of a listing. A page of Azure has 5,000 names of up to 1,024 characters, which may be escaped."""
_LISTING, _OBJECT = "store listing", "store object"
"""The names of the two kinds of request in traces."""
# S3 and Azure send XML, Google sends JSON. Only the code is quoted: the rest may repeat the request with its signature.
_ERROR_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,60})</Code>|\"reason\": ?\"([A-Za-z]{1,60})\"")
_REMEDIES: Remedies = {
    401: "Check the store's auth: it does not accept the credentials.",
    403: "The credentials may not read this, or belong to another store.",
    404: "There is no such object, or no such bucket.",
    300: "Check the store's endpoint and region.",
}


class StoreClient:
    """The client of one store with one set of credentials. Threads may share an instance."""

    def __init__(self, settings: ConnectionSettings, headers: Mapping[str, str]) -> None:
        """Resolve the credentials; no request is sent yet.

        Args:
            settings: The store, our identity there, and the limits.
            headers: Sent with every request.

        Raises:
            HttpError: The settings cannot be used.
        """
        limits = settings.limits
        self._page_timeout = limits.request_timeout_seconds
        self._file_limit = ResponseLimit(limits.file_timeout_seconds, "file_timeout_seconds")
        self._host = urlsplit(settings.base_uri).hostname or ""
        # No decompression: a file that is stored compressed is hashed compressed.
        self._http = HttpClient(
            settings, self._error_from, headers=headers, decompress=False, concurrency=concurrency_limit(settings)
        )

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._http.traffic.requests

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def fetch(self, url: str, *, max_bytes: int = MAX_PAGE_BYTES) -> bytes:
        """Return a response's body.

        Raises:
            HttpError: There is no response, or the response is not a success or exceeds a limit.
        """
        limit = ResponseLimit(self._page_timeout, "request_timeout_seconds", max_bytes)
        with _naming_the_stores_setting():
            return self._http.fetch(ReadRequest("GET", url, route=_LISTING), limit).body

    @contextmanager
    def stream(self, url: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Yield a response's first ``max_bytes`` bytes in chunks, as they are stored, while the context is open.

        Raises:
            HttpError: There is no response, or the response is not a success, breaks off or takes too long.
        """
        with (
            _naming_the_stores_setting(),
            self._http.stream(
                ReadRequest("GET", url, route=_OBJECT), self._file_limit, max_bytes=max_bytes, kind="object"
            ) as chunks,
        ):
            yield chunks

    def _error_from(self, response: Response) -> HttpError:
        match = _ERROR_CODE.search(response.body)
        code = (match[1] or match[2]).decode("ascii") if match else None
        sentence = f"{self._host} responded with {response.status}" + (f", {code}" if code else "")
        error = error_of_status(response.status, response.headers, sentence, _REMEDIES)
        error.code = code
        return error


@contextmanager
def _naming_the_stores_setting() -> Iterator[None]:
    """Make the SSRF guard's error name the setting of the store instead of the setting of the tenant."""
    try:
        yield
    except AddressNotAllowedError as error:
        remedy = "If the store is meant to be there, set allow_private_network: true for the store"
        raise AddressNotAllowedError(error.finding, remedy) from None
