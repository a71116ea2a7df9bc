"""Requests and responses of the contract server, before routing and after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus

from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.state import Caller, Document, State

MAX_JSON_BYTES = 10 * 1024**2


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as the server received it."""

    method: str
    path: str
    """The path without ``/api`` and the query."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """The headers by lower-case name."""
    body: bytes
    address: str
    """The client's IP address."""


@dataclass(frozen=True, slots=True)
class Response:
    """The response to a request."""

    status: int
    content: object = None
    """The JSON content. A string is sent as HTML, as Express does for requests that no route handles."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, headers: Mapping[str, str]) -> Response:
        """Return the response with more headers."""
        return replace(self, headers={**self.headers, **headers})

    def body(self) -> bytes:
        """Return the body."""
        if self.status == HTTPStatus.NO_CONTENT:
            return b""
        return self.content.encode() if isinstance(self.content, str) else json.dumps(self.content).encode()

    @property
    def content_type(self) -> str:
        """The value of Content-Type."""
        return "text/html; charset=utf-8" if isinstance(self.content, str) else "application/json; charset=utf-8"


class RefusedError(Exception):
    """A request ends with an error status. None of its changes is stored."""

    def __init__(self, status: int, detail: object) -> None:
        super().__init__(status, detail)
        self.answer = envelope(status, detail)


def envelope(status: int, detail: object) -> Response:
    """Return a response in VerifyWise's envelope: ``{message, data}``, and ``{message, error}`` from 500 on."""
    return Response(status, {"message": HTTPStatus(status).phrase, "error" if status >= 500 else "data": detail})


def rate_limited(message: str) -> Response:
    """Return a 429, which has no envelope."""
    return Response(429, {"message": message, "statusCode": 429})


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a known caller to a known route."""

    request: ReceivedRequest
    parameters: tuple[str, ...]
    """The variable segments of the path, in order."""
    caller: Caller
    state: State
    dialect: Dialect
    now: datetime
    secret: bytes = field(repr=False)
    """The key that session tokens are signed with."""

    def json(self) -> Document:
        """Return the JSON object in the body."""
        return json_object(self.request)

    def identifier(self, *, on_error: int) -> int:
        """Return the path's first variable segment as a number."""
        text = self.parameters[0]
        if not text.isdecimal():
            raise RefusedError(on_error, f'invalid input syntax for type integer: "{text}"')
        return int(text)

    @property
    def timestamp(self) -> str:
        """The time of the request as it is stored."""
        return timestamp(self.now)


def json_object(request: ReceivedRequest) -> Document:
    """Return the JSON object in a request's body; an empty one if there is no body."""
    if len(request.body) > MAX_JSON_BYTES:
        raise RefusedError(413, "request entity too large")
    if not request.body:
        return {}
    try:
        content = json.loads(request.body)
    except ValueError:
        raise RefusedError(400, "the body is not JSON") from None
    if not isinstance(content, dict):
        raise RefusedError(400, "the body is not a JSON object")
    return content


def timestamp(at: datetime) -> str:
    """Return a time as JavaScript writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
