"""Request authentication: credentials add headers to each request, and may renew them after a 401."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """A request before it is sent: all parts that a signature may cover."""

    method: str
    url: str
    """The absolute URL with its query, percent-encoded."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    route: str = ""
    """The URL's path for traces, with placeholders for its values."""


ReadMethod = Literal["GET", "POST"]
WriteMethod = Literal["POST", "PATCH", "PUT"]


@dataclass(frozen=True, slots=True)
class ReadRequest(Request):
    """A request that changes nothing on the server, so it may be repeated. Some of MLflow's searches use POST."""

    method: ReadMethod


@dataclass(frozen=True, slots=True)
class WriteRequest(Request):
    """A request that may change something on the server. Only ``writing_client.py`` sends it, and only once."""

    method: WriteMethod


class RequestAuthenticator(Protocol):
    """One identity at one server. Threads may share an instance."""

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the headers that authenticate this request.

        Raises:
            HttpError: there are no credentials, for example because the token issuer does not respond.
        """

    def renew(self) -> bool:
        """Discard the credentials that the server has just refused; return whether a second attempt may succeed."""


@dataclass(frozen=True, slots=True)
class StaticHeaders:
    """The same headers for every request: no headers, basic auth, a bearer token, or a gateway's key."""

    static_headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the headers."""
        del request
        return self.static_headers

    def renew(self) -> bool:
        """Return False: static headers cannot be renewed."""
        return False


@dataclass(frozen=True, slots=True)
class WithExtraHeaders:
    """Credentials plus static headers, such as a gateway's key.

    A signature does not cover the static headers: a gateway may remove its own headers before it forwards a request.
    """

    credentials: RequestAuthenticator
    static_headers: Mapping[str, str] = field(repr=False)

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the credentials' headers and the static headers."""
        return {**self.static_headers, **self.credentials.headers(request)}

    def renew(self) -> bool:
        """Renew the credentials; the static headers stay."""
        return self.credentials.renew()
