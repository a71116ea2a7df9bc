"""Posts events to a server through the guarded connections of ``http``. One attempt per event: the outbox retries.

No redirect is followed. The response is limited in time and size, and is not quoted. No message repeats the URL, which
may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from urllib3 import PoolManager
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from verifywise_mlflow.http.errors import (
    AddressNotAllowedError,
    HttpError,
    InvalidSettingsError,
    NotFoundError,
)
from verifywise_mlflow.http.exchange import iter_body, release, send, take_bytes
from verifywise_mlflow.http.library_logs import withhold_urls
from verifywise_mlflow.http.pools import open_pool
from verifywise_mlflow.http.request_auth import Request
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.status_errors import Remedies, error_of_status
from verifywise_mlflow.tenants.connection import proxy_settings
from verifywise_mlflow.tenants.delivery.receiver import ReceiverSettings

USER_AGENT: Final = "verifywise-mlflow"
CONNECT_TIMEOUT_S: Final = 5.0
RESPONSE_TIMEOUT_S: Final = 10.0
"""The maximum time from the request to the last byte of the response."""
_MAX_RESPONSE_BYTES: Final = 64 * 1024
_REMEDIES: Remedies = {
    401: "Check the credentials: they are missing or wrong.",
    403: "It does not let us in.",
    404: "Check its address: nothing accepts events there.",
    407: "Check the proxy: it does not accept its credentials.",
    300: "Write the final address.",
    400: "It does not accept the event.",
}
_HEADER_CHARACTERS: Final = frozenset(map(chr, (9, *range(0x20, 0x7F), *range(0x80, 0x100))))


@dataclass(frozen=True, slots=True)
class Receiver:
    """A server that accepts events by POST."""

    url: str = field(repr=False)
    label: str
    """The receiver's name in messages. It is never the URL."""
    connection: ConnectionSettings = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """Headers of each request."""

    @classmethod
    def of(
        cls, settings: ReceiverSettings, url: str, label: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Receiver:
        """Return the receiver that the settings describe.

        Args:
            settings: How to reach the receiver.
            url: The receiver's address.
            label: The receiver's name in messages.
            headers: Headers to send in addition to the headers in the settings.

        Raises:
            SecretUnavailableError: The reference of a header or of the proxy's password cannot be resolved.
        """
        tls = settings.tls
        connection = ConnectionSettings(
            base_uri=url,
            allow_private_network=settings.allow_private_network,
            ca_bundle=tls.ca_bundle,
            client_certificate=tls.client_certificate,
            client_key=tls.client_key,
            tls_strict=tls.strict,
            proxy=proxy_settings(settings.proxy),
        )
        return cls(url, label, connection, {**settings.resolved_headers(), **headers})


class EventConnection:
    """Open connections to a receiver."""

    def __init__(self, receiver: Receiver, pool: PoolManager) -> None:
        self._receiver = receiver
        self._pool = pool

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Post a body with one attempt.

        Raises:
            HttpError: The body was not accepted with a status from 200 to 299. Whether it arrived may be unknown.
        """
        _, error = self._exchange("POST", body, headers)
        if error:
            raise error

    def options(self) -> int:
        """Send OPTIONS, which changes nothing, and return the status. It shows that a server responds.

        Raises:
            HttpError: There is no response.
        """
        return self._exchange("OPTIONS", None, {})[0]

    def _exchange(self, method: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, HttpError | None]:
        receiver = self._receiver
        request = Request(method, receiver.url, {"User-Agent": USER_AGENT, **receiver.headers, **headers}, body)
        try:
            with withhold_urls():
                response = send(
                    self._pool,
                    request,
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=RESPONSE_TIMEOUT_S,
                    server=receiver.label,
                )
        except AddressNotAllowedError as error:
            raise AddressNotAllowedError(
                error.finding, f"If {receiver.label} is meant to be there, set allow_private_network: true for it."
            ) from None
        try:
            with suppress(HttpError), withhold_urls():  # only the status is needed
                chunks = iter_body(response, timeout=RESPONSE_TIMEOUT_S, server=receiver.label, decompress=False)
                for _ in take_bytes(chunks, _MAX_RESPONSE_BYTES):
                    pass  # reading the response frees the connection for reuse
            return response.status, _error(receiver.label, response.status, response.headers)
        finally:
            release(response)


@contextmanager
def open_receiver(receiver: Receiver) -> Iterator[EventConnection]:
    """Open connections to a receiver; no request is sent yet.

    Raises:
        HttpError: The settings cannot be used.
    """
    try:
        parts = parse_url(receiver.url)
    except LocationParseError:  # the error's text has the URL
        parts = Url()
    if parts.scheme not in ("http", "https") or not parts.host or parts.auth is not None:
        raise InvalidSettingsError(f"{receiver.label} has no address of the form https://host/path without a user")
    if parts.scheme == "http" and not receiver.connection.allow_private_network:
        raise InvalidSettingsError(
            f"{receiver.label} has an address that is not encrypted: write https://, or set allow_private_network: true"
        )
    for name, value in receiver.headers.items():
        if not _HEADER_CHARACTERS.issuperset(value):
            raise InvalidSettingsError(
                f"the value of the header {name} has characters that no header can carry, such as a line break. "
                "Correct the secret that it comes from."
            )
    with open_pool(receiver.connection) as pool:
        yield EventConnection(receiver, pool)


def _error(label: str, status: int, headers: Mapping[str, str]) -> HttpError | None:
    if 200 <= status < 300:
        return None
    sentence = f"{label} responded with {status}"
    if status in (405, 410):  # the status concerns the address, not the event
        return NotFoundError(f"{sentence}. {_REMEDIES[404]}")
    return error_of_status(status, headers, sentence, _REMEDIES)
