"""The transports of OpenLineage events: our guarded HTTP connections, or the library's own transports.

The library's HTTP transport is not used. It follows redirects, takes proxies and credentials from the environment and
connects to any address. Its client, ``OpenLineageClient``, is not used either: it reads settings from the environment
and from a file in the current directory. Its transport for Kafka only logs that a message was lost. So our transport
waits for the broker's confirmation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from openlineage.client.serde import Serde
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.kafka import KafkaConfig, KafkaTransport
from openlineage.client.transport.transport import Transport

from verifywise_mlflow.delivery.http_post import EventConnection, Receiver, open_receiver
from verifywise_mlflow.http.errors import InvalidSettingsError, UnreachableError
from verifywise_mlflow.tenants.delivery.openlineage import (
    FileTransportSettings,
    HttpTransportSettings,
    KafkaTransportSettings,
    TransportSettings,
)

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message
    from openlineage.client.client import Event

KAFKA_TIMEOUT_S: Final = 10.0
"""The maximum time until a broker confirms a message."""


class GuardedHttpTransport(Transport):
    """Posts each event once."""

    kind = "http"

    def __init__(self, connection: EventConnection) -> None:
        """Take open connections."""
        self.connection = connection

    def emit(self, event: Event) -> None:
        """Post an event.

        Raises:
            HttpError: the event was not accepted.
        """
        self.connection.post(Serde.to_json(event).encode("ascii"), {"Content-Type": "application/json"})


class ConfirmedKafkaTransport(KafkaTransport):
    """Waits until a broker has confirmed each event."""

    def emit(self, event: Event) -> None:
        """Produce a message.

        Raises:
            UnreachableError: no broker has confirmed the message in time.
        """
        errors: list[KafkaError] = []

        def record(error: KafkaError | None, message: Message) -> None:
            del message
            if error is not None:
                errors.append(error)

        assert self.producer is not None  # the library opens it when the transport is made
        key = self._get_message_key(event)
        self.producer.produce(self.topic, key=key, value=Serde.to_json(event).encode("ascii"), on_delivery=record)
        unconfirmed = self.producer.flush(KAFKA_TIMEOUT_S + 1)
        if unconfirmed:
            self.producer.purge()
        if unconfirmed or errors:
            reason = errors[0].str() if errors else "no broker confirmed it in time"
            raise UnreachableError(f"the Kafka topic {self.topic} did not accept an event: {reason}")


@contextmanager
def open_transport(settings: TransportSettings) -> Iterator[Transport]:
    """Open the transport that the settings describe.

    Raises:
        HttpError: the transport cannot be used.
        SecretUnavailableError: the reference of a credential cannot be resolved.
    """
    match settings:
        case HttpTransportSettings():
            with open_receiver(_receiver(settings)) as connection:
                yield GuardedHttpTransport(connection)
        case FileTransportSettings():
            yield FileTransport(FileConfig(log_file_path=str(settings.path), append=True))
        case KafkaTransportSettings():
            transport = _kafka(settings)
            try:
                yield transport
            finally:
                transport.close(0)


def _receiver(settings: HttpTransportSettings) -> Receiver:
    key = {"Authorization": f"Bearer {settings.api_key.resolve()}"} if settings.api_key else {}
    return Receiver.of(settings, settings.url, "the OpenLineage server", key)


def _kafka(settings: KafkaTransportSettings) -> ConfirmedKafkaTransport:
    try:
        import confluent_kafka  # noqa: F401  # imported here so that a missing package is a clear error
    except ImportError:
        raise InvalidSettingsError(
            "Kafka's client is not installed: install the package with the extra openlineage-kafka"
        ) from None
    return ConfirmedKafkaTransport(KafkaConfig(config=kafka_options(settings), topic=settings.topic, flush=False))


def kafka_options(settings: KafkaTransportSettings) -> dict[str, str]:
    """Return the options of Kafka's client."""
    tls, sasl = settings.tls, settings.sasl
    files = {"ssl.ca.location": tls.ca_bundle, "ssl.certificate.location": tls.client_certificate}
    files |= {"ssl.key.location": tls.client_key}
    options: dict[str, str] = {
        "bootstrap.servers": ",".join(settings.bootstrap_servers),
        "security.protocol": f"{'SASL_' if sasl else ''}{'SSL' if settings.encrypted else 'PLAINTEXT'}",
        "acks": "all",
        "message.timeout.ms": str(int(KAFKA_TIMEOUT_S * 1000)),
        "log_level": "0",  # errors arrive with the confirmation, and the client's log would go to standard error
        **{name: str(path) for name, path in files.items() if path},
    }
    if sasl:
        options |= {"sasl.mechanism": sasl.mechanism, "sasl.username": sasl.username}
        options["sasl.password"] = sasl.password.resolve()
    return options
