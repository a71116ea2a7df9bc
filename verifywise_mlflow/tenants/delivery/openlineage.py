"""Where a tenant's lineage is sent as OpenLineage events, as ``tenants.yaml`` describes it."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from verifywise_mlflow.tenants.delivery.receiver import ReceiverSettings
from verifywise_mlflow.tenants.delivery.target_name import TargetName
from verifywise_mlflow.tenants.header_names import FRAMING_HEADERS, check_header_names
from verifywise_mlflow.tenants.network import Tls
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import AbsolutePath, ConfigSection, http_uri

OPENLINEAGE: Final = TargetName("openlineage")


class HttpTransportSettings(ReceiverSettings):
    """A server that accepts OpenLineage events, such as Marquez."""

    kind: Literal["http"]
    url: str
    """The address that events are posted to, such as ``https://marquez.example.com/api/v1/lineage``."""
    api_key: SecretReference | None = None
    """A key that is sent as a bearer token."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return http_uri(
            url, "https://marquez.example.com/api/v1/lineage", section="delivery.openlineage.transport.api_key"
        )

    @field_validator("headers")
    @classmethod
    def _are_not_reserved(cls, headers: dict[str, SecretReference]) -> dict[str, SecretReference]:
        check_header_names(headers, reserved=FRAMING_HEADERS | {"authorization"}, instead="use api_key instead")
        return headers

    @model_validator(mode="after")
    def _is_encrypted(self) -> HttpTransportSettings:
        if urlsplit(self.url).scheme == "http" and not self.allow_private_network:
            raise ValueError("url is not encrypted, so the lineage would be sent in clear text: write https://")
        return self


class FileTransportSettings(ConfigSection):
    """A file that events are appended to, with one JSON object per line."""

    kind: Literal["file"]
    path: AbsolutePath


class SaslCredentials(ConfigSection):
    """A user of a Kafka cluster."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    username: str
    password: SecretReference


class KafkaTransportSettings(ConfigSection):
    """A topic of a Kafka cluster."""

    kind: Literal["kafka"]
    bootstrap_servers: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.\-\[\]:]+:\d+$")], ...], Field(min_length=1)
    ]
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    allow_private_network: Literal[True]
    """Must be true: Kafka's client connects to all brokers that the cluster names, without our SSRF guard."""
    encrypted: bool = True
    tls: Tls = Tls()
    sasl: SaslCredentials | None = None

    @model_validator(mode="after")
    def _password_is_encrypted(self) -> KafkaTransportSettings:
        if self.sasl and not self.encrypted:
            raise ValueError("encrypted is off, so the password would be sent in clear text: remove encrypted or sasl")
        return self


TransportSettings = Annotated[
    HttpTransportSettings | FileTransportSettings | KafkaTransportSettings, Field(discriminator="kind")
]


class OpenLineageSettings(ConfigSection):
    """Where lineage is sent, and how its data sets are named."""

    transport: TransportSettings
    namespace: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """The namespace of the tenant's models and training jobs; by default the tenant's ``tracking_uri``, followed by
    ``/workspaces/NAME`` if it has a workspace."""
    include_verdicts: bool = True
    """Whether the verdict of each rule is sent as a data quality assertion."""
