"""The HTTP client of deliveries, which can also write. The clients of MLflow and of object stores cannot.

A request that writes is sent once. ``was_sent`` of its error states whether the server may have executed the request.
The caller decides whether to repeat the request, because only the caller can find out whether it was executed.
"""

from __future__ import annotations

from dataclasses import replace

from verifywise_mlflow.http.client import HttpClient, ResponseLimit
from verifywise_mlflow.http.request_auth import WriteRequest
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.retry import RetryPolicy


class WritingHttpClient(HttpClient):
    """The client of one server with one set of credentials, for requests that read and write. Threads may share it."""

    def write(self, request: WriteRequest, limit: ResponseLimit, *, target: str = "") -> Response:
        """Send a request once. Send it again only if the server refused expired credentials, and so executed nothing.

        Args:
            request: The request. Its headers are added to the headers of the client.
            limit: The limits of the response.
            target: The name of the request in messages.

        Raises:
            HttpError: there is no response, or the response is not a success or exceeds the limit. If ``was_sent`` is
                true and no response states otherwise, the request may have been executed.
        """
        once = RetryPolicy(replace(self._limits, max_attempts=1), self._breaker)
        return once.call(lambda: self._attempt(request, limit, target, kind=""), self._credentials.renew)
