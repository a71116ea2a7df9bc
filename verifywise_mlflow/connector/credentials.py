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
