"""The MLflow REST client: sends requests to allow-listed endpoints only, and returns their JSON.

MLflow's own client is not used: it shares credentials process-wide, sends custom headers along redirects, retries for
four minutes, treats an empty response like an empty registry, and does not limit the size of a response.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

from verifywise_mlflow.connector.endpoints import Endpoint
from verifywise_mlflow.connector.errors import EndpointNotAllowedError, EndpointNotFoundError
from verifywise_mlflow.connector.response_memory import response_memory
from verifywise_mlflow.connector.responses import error_from_response, parse_json_object
from verifywise_mlflow.http.client import MAX_TEXT_BYTES, HttpClient, ResponseLimit, Traffic
from verifywise_mlflow.http.pools import concurrency_limit
from verifywise_mlflow.http.request_auth import ReadRequest
from verifywise_mlflow.http.settings import ConnectionSettings

T = TypeVar("T")

Params = Mapping[str, str | int] | tuple[tuple[str, str | int], ...]


class RestClient:
    """The client of one MLflow server with one set of credentials. Threads may share an instance."""

    def __init__(self, settings: ConnectionSettings) -> None:
        limits = settings.limits
        self._max_depth, self._max_values = limits.max_depth, limits.max_values
        self._json_limit = ResponseLimit(
            limits.request_timeout_seconds, "request_timeout_seconds", limits.max_response_bytes, "max_response_bytes"
        )
        self._probe_limit = ResponseLimit(
            limits.probe_timeout_seconds, "probe_timeout_seconds", MAX_TEXT_BYTES, "for a probe"
        )
        self._file_limit = ResponseLimit(limits.file_timeout_seconds, "file_timeout_seconds")
        parts = urlsplit(settings.base_uri)
        host = parts.hostname or ""
        self._base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        workspace = {"X-MLFLOW-WORKSPACE": settings.workspace} if settings.workspace else {}
        self._http = HttpClient(
            settings,
            lambda response: error_from_response(response, host),
            headers={"Accept-Encoding": "gzip", **workspace},
            decompress=True,
            concurrency=concurrency_limit(settings),
        )
        self._http.check_credentials(self._base)
        self._uses_ajax_paths = False

    @property
    def traffic(self) -> Traffic:
        """The load that this connection has put on the server so far."""
        return self._http.traffic

    def use_ajax_paths(self) -> None:
        """Use the paths of MLflow's web pages from now on: before 3.17, only these paths honor ``--static-prefix``."""
        self._uses_ajax_paths = True

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get_json(self, endpoint: Endpoint, params: Params = (), *, identifier: str | None = None) -> dict[str, object]:
        """Send a GET request; return the JSON object of the response."""
        # The duration of a search depends on the size of its page, so the delays of searches do not show the server's
        # load.
        kind = "" if endpoint.name.startswith("SEARCH_") else endpoint.name
        request = self._request(endpoint, params, identifier)
        return self._fetch_json(endpoint, request, self._json_limit, identifier, kind=kind)

    def post_json(self, endpoint: Endpoint, body: Mapping[str, object], *, kind: str = "") -> dict[str, object]:
        """Send one of MLflow's POST searches; return the JSON object of the response.

        ``kind`` is the same for searches that take the server equally long, and empty for all other searches: see
        ``Permit``.
        """
        # The body is ASCII with escapes, so that a lone surrogate in a name can be sent.
        encoded = json.dumps(body).encode("ascii")
        headers = {"Content-Type": "application/json"}
        request = ReadRequest(endpoint.method, self._url(endpoint, ()), headers, encoded, endpoint.route)
        return self._fetch_json(endpoint, request, self._json_limit, kind=kind)

    def probe(self, endpoint: Endpoint, params: Params = ()) -> dict[str, object]:
        """Send a GET request that any healthy server answers at once; return the JSON object of the response."""
        return self._fetch_json(endpoint, self._request(endpoint, params), self._probe_limit, kind="")

    def probe_text(self, endpoint: Endpoint) -> str:
        """Send a GET request that any healthy server answers at once; return the response's short plain text."""
        return self.probe_text_and_date(endpoint)[0]

    def probe_text_and_date(self, endpoint: Endpoint) -> tuple[str, str | None]:
        """Send a GET request that any healthy server answers at once; return its short text, and the header Date."""
        response = self._http.fetch(self._request(endpoint, ()), self._probe_limit, target=self._path(endpoint))
        return response.body.decode("utf-8", "replace"), response.headers.get("Date")

    def stream(
        self, endpoint: Endpoint, params: Params, *, max_bytes: int, identifier: str | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Send a GET request; yield the body's first ``max_bytes`` in chunks while the context is open."""
        request = self._request(endpoint, params, identifier)
        return self._http.stream(
            request,
            self._file_limit,
            max_bytes=max_bytes,
            target=self._path(endpoint, identifier),
            kind=endpoint.name,
        )

    def _fetch_json(
        self,
        endpoint: Endpoint,
        request: ReadRequest,
        limit: ResponseLimit,
        identifier: str | None = None,
        *,
        kind: str,
    ) -> dict[str, object]:
        with response_memory():
            response = self._http.fetch(request, limit, target=self._path(endpoint, identifier), kind=kind)
            response_memory.claim(len(response.body))
            return parse_json_object(response, max_values=self._max_values, max_depth=self._max_depth)

    def _request(self, endpoint: Endpoint, params: Params, identifier: str | None = None) -> ReadRequest:
        return ReadRequest(endpoint.method, self._url(endpoint, params, identifier), route=endpoint.route)

    def _url(self, endpoint: Endpoint, params: Params, identifier: str | None = None) -> str:
        """Return the URL to request.

        Raises:
            EndpointNotAllowedError: the endpoint is not on the allow-list.
        """
        path = self._path(endpoint, identifier)
        if not endpoint.matches(endpoint.method, path):
            raise EndpointNotAllowedError(
                f"{endpoint.method} {path} is not on the allow-list of read-only endpoints: the request was not sent"
            )
        return f"{self._base}/{quote(path)}" + (f"?{_query(params)}" if params else "")

    def _path(self, endpoint: Endpoint, identifier: str | None = None) -> str:
        return endpoint.ajax_path(identifier) if self._uses_ajax_paths else endpoint.path(identifier)


def fetch_with_client(settings: ConnectionSettings, fetch: Callable[[RestClient], T]) -> T:
    """Call ``fetch`` with a client, and close the client; return what ``fetch`` returns.

    Before 3.17, ``--static-prefix`` does not move the API. A reader detects this when it opens. Here, ``fetch`` is
    called a second time, with the paths of MLflow's web pages.
    """
    client = RestClient(settings)
    try:
        try:
            return fetch(client)
        except EndpointNotFoundError:
            if not urlsplit(settings.base_uri).path.strip("/"):
                raise
            client.use_ajax_paths()
            return fetch(client)
    finally:
        client.close()


def _query(params: Params) -> str:
    # surrogatepass: the server's names and page tokens may contain a lone surrogate, and must be sent nevertheless.
    # A space becomes %20, since AWS signatures read + as itself.
    return urlencode(params, errors="surrogatepass", quote_via=quote)
