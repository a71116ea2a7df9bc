"""What lets us in: asked for the headers of each request, and for new ones when the server refuses the old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request before it is sent, as far as a signature covers it."""

    method: str
    url: str
    """Absolute, with its query, percent-encoded."""
    headers: Mapping[str, str]
    body: bytes | None


class Credentials(Protocol):
    """One identity towards one server. Threads may share it."""

    def headers(self, request: Outgoing) -> Mapping[str, str]:
        """Return the headers that let this request in.

        Raises:
            ConnectorError: the credentials cannot be had, say because a token's issuer does not answer.
        """

    def renew(self) -> bool:
        """Throw away what the server has just refused; return whether asking again with new credentials may help."""


@dataclass(frozen=True, slots=True)
class FixedHeaders:
    """Credentials that are the same for each request: none, basic, a bearer token, a gateway's key."""

    fixed: Mapping[str, str] = field(default_factory=dict, repr=False)

    def headers(self, request: Outgoing) -> Mapping[str, str]:
        """Return the headers."""
        del request
        return self.fixed

    def renew(self) -> bool:
        """There are no others."""
        return False


@dataclass(frozen=True, slots=True)
class WithHeaders:
    """Credentials, and beside them headers that are the same for each request, such as a gateway's key.

    A signature does not cover these: a gateway may take its own headers off before it passes a request on.
    """

    credentials: Credentials
    fixed: Mapping[str, str] = field(repr=False)

    def headers(self, request: Outgoing) -> Mapping[str, str]:
        """Return the headers of both."""
        return {**self.fixed, **self.credentials.headers(request)}

    def renew(self) -> bool:
        """Renew what can be renewed."""
        return self.credentials.renew()
