"""A response that was read to its end, and safe quotes from a response: short, escaped, never with our credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from verifywise_mlflow.http.credential_echo import WITHHELD, echoes_credentials

_EXCERPT_CHARACTERS = 160
_SCANNED_CHARACTERS = 16_384
"""The number of characters of a text that are searched for the customer's secrets before a quote is cut from the
text."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response whose body was read to its end. The body of an error is empty if it was too long or broke off."""

    target: str
    """The requested path, for messages; empty if the URL must not be repeated."""
    status: int
    headers: Mapping[str, str]
    body: bytes
    auth_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The headers that authenticated the request. Text that echoes them is withheld from messages."""
    redact: Callable[[str], str] = field(default=str, repr=False)
    """Redacts a text before it is cut."""

    def quote(self, text: bytes | str) -> str:
        """Return an excerpt of a text in this response that is safe in an error message."""
        beginning = text[:_SCANNED_CHARACTERS]
        decoded = beginning if isinstance(beginning, str) else beginning.decode("utf-8", "replace")
        redacted = self.redact(decoded)
        if echoes_credentials(redacted, self.auth_headers):
            return WITHHELD
        return excerpt(redacted.encode("utf-8", "replace"))

    @property
    def is_json(self) -> bool:
        """Whether the content type is JSON."""
        return "json" in self.headers.get("Content-Type", "").lower()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in ``Retry-After``. None if the header has a date, so that the jittered back-off applies."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isdecimal() and len(value) < 10 else None


def excerpt(body: bytes) -> str:
    """Return the beginning of a body, escaped, since it is untrusted text."""
    text = body[:400].decode("utf-8", "replace")
    return ascii(" ".join(text.split())[:_EXCERPT_CHARACTERS]) if text.strip() else "an empty body"
