"""The places where a tenant lets files be read directly, as ``tenants.yaml`` describes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from verifywise_mlflow.artifacts.stores import azure, gcs
from verifywise_mlflow.artifacts.stores.azure import SharedKey
from verifywise_mlflow.artifacts.stores.gcs import ServiceAccount
from verifywise_mlflow.artifacts.stores.s3 import S3Signer
from verifywise_mlflow.artifacts.stores.settings import FolderPlace, ObjectPlace, Place, WebPlace, bucket_of
from verifywise_mlflow.artifacts.uris import is_plain, read_uri
from verifywise_mlflow.http.auth import Credentials, FixedHeaders
from verifywise_mlflow.http.errors import UnusableSettingsError
from verifywise_mlflow.http.oauth2 import Client, IssuedToken
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.sigv4 import Keys
from verifywise_mlflow.tenants.auth import BasicCredentials, BearerCredentials
from verifywise_mlflow.tenants.secrets import SecretReference, SecretUnavailableError
from verifywise_mlflow.tenants.validators import AbsolutePath, server_uri

T = TypeVar("T")

_SCHEMES = {"s3": "s3", "gs": "gs", "abfss": "azure", "wasbs": "azure", "file": "folder", "http": "web", "https": "web"}


class _Store(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    prefix: str
    """The URI, as MLflow writes it, of the folder that may be read with all that is below it."""
    prefer: Literal["served", "direct"] = "served"
    """Whether files that the tracking server serves, too, are asked of it or read here."""

    @field_validator("prefix")
    @classmethod
    def _is_place(cls, prefix: str) -> str:
        place = read_uri(prefix)
        if not is_plain(prefix) or (place.scheme != "file" and "://" not in place.anchor):
            raise ValueError("write the URI of a bucket, a container, a server or a folder, in its plain form")
        return prefix.rstrip("/")

    @property
    def prefers_direct(self) -> bool:
        """Whether the tracking server is not asked."""
        return self.prefer == "direct"


class _RemoteStore(_Store):
    allow_private_network: bool = False
    """Whether the store may have a private, loopback or link-local address."""
    ca_bundle: AbsolutePath | None = None
    """PEM file of the authorities to trust instead of the system's."""

    def _network(
        self, base_uri: str, server: ConnectionSettings, credentials: Callable[[], Credentials]
    ) -> ConnectionSettings:
        """Return how the store is reached: with the bounds and through the proxy of the tenant's own server."""
        return ConnectionSettings(
            base_uri=base_uri.rstrip("/"),
            credentials=_usable(credentials),
            allow_private_network=self.allow_private_network,
            ca_bundle=self.ca_bundle,
            proxy=server.proxy,
            bounds=server.bounds,
        )


class S3Store(_RemoteStore):
    """A bucket of S3, or of what speaks like it. Without keys it is asked without a signature."""

    endpoint: str | None = None
    """Null: AWS's of the region."""
    region: str = Field(default="us-east-1", pattern="^[a-z0-9-]+$")
    path_style: bool | None = None
    """Whether the bucket stands in the path or before the host. Null: in the path where an endpoint is given."""
    access_key_id: SecretReference | None = None
    secret_access_key: SecretReference | None = None
    session_token: SecretReference | None = None
    """Of temporary credentials."""

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, uri: str | None) -> str | None:
        return _endpoint(uri, "https://minio.example.com:9000")

    @model_validator(mode="after")
    def _keys_are_pairs(self) -> S3Store:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together")
        if self.session_token and not self.access_key_id:
            raise ValueError("session_token needs the keys beside it")
        return self

    def place(self, server: ConnectionSettings) -> Place:
        """Return how it is read."""
        bucket = bucket_of(self.prefix)
        is_path_style = self.path_style if self.path_style is not None else self.endpoint is not None
        endpoint = self.endpoint or f"https://s3.{self.region}.amazonaws.com"
        if not is_path_style:
            scheme, _, host = endpoint.partition("://")
            endpoint = f"{scheme}://{bucket}.{host}"

        def credentials() -> Credentials:
            if self.access_key_id is None or self.secret_access_key is None:
                return FixedHeaders()
            token = self.session_token.resolve() if self.session_token else None
            return S3Signer(Keys(self.access_key_id.resolve(), self.secret_access_key.resolve(), token), self.region)

        network = self._network(endpoint, server, credentials)
        return ObjectPlace(self.prefix, self.prefers_direct, network, is_path_style)


class GcsStore(_RemoteStore):
    """A bucket of Google Cloud Storage. Without a key it is asked as anybody."""

    endpoint: str = gcs.ENDPOINT
    service_account: SecretReference | None = None
    """The JSON of a service account's key."""

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, uri: str) -> str:
        return server_uri(uri, gcs.ENDPOINT, section="the store's fields").rstrip("/")

    def place(self, server: ConnectionSettings) -> Place:
        """Return how it is read."""

        def credentials() -> Credentials:
            return ServiceAccount(self.service_account.resolve()) if self.service_account else FixedHeaders()

        return ObjectPlace(self.prefix, self.prefers_direct, self._network(self.endpoint, server, credentials))


class AzureStore(_RemoteStore):
    """A container of Azure Blob Storage, with a key, a shared access signature, a client's secret, or as anybody."""

    endpoint: str | None = None
    """Of the account's blob service. Null: the one that the prefix names."""
    account_key: SecretReference | None = None
    sas_token: SecretReference | None = None
    """The query of a shared access signature, with or without its question mark."""
    tenant_id: str | None = Field(default=None, pattern="^[A-Za-z0-9.-]+$")
    """The directory that the client is registered in."""
    client_id: str | None = Field(default=None, min_length=1)
    client_secret: SecretReference | None = None
    authority: str = "https://login.microsoftonline.com"
    """Who hands out tokens for the client; national clouds have others."""

    @field_validator("endpoint", "authority")
    @classmethod
    def _is_http(cls, uri: str | None) -> str | None:
        return _endpoint(uri, "https://account.blob.core.windows.net")

    @model_validator(mode="after")
    def _has_one_way_in(self) -> AzureStore:
        client = (self.tenant_id, self.client_id, self.client_secret)
        if any(client) and not all(client):
            raise ValueError("tenant_id, client_id and client_secret belong together")
        if sum(way is not None for way in (self.account_key, self.sas_token, self.client_secret)) > 1:
            raise ValueError("write one of account_key, sas_token and client_secret")
        if not self._account():
            raise ValueError("write the prefix as abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/path")
        return self

    def place(self, server: ConnectionSettings) -> Place:
        """Return how it is read."""

        def credentials() -> Credentials:
            if self.account_key:
                return SharedKey(self._account(), self.account_key.resolve())
            if self.client_id and self.client_secret:
                issuer = ConnectionSettings(
                    base_uri=f"{self.authority}/{self.tenant_id}/oauth2/v2.0/token",
                    allow_private_network=self.allow_private_network,
                    ca_bundle=self.ca_bundle,
                    proxy=server.proxy,
                    bounds=server.bounds,
                )
                client = Client(self.client_id, self.client_secret.resolve(), azure.SCOPE, None, "post")
                return IssuedToken(issuer, client)
            return FixedHeaders()

        def shared_access() -> str:
            return self.sas_token.resolve().removeprefix("?") if self.sas_token else ""

        host = self._host().replace(".dfs.", ".blob.", 1)
        network = self._network(self.endpoint or f"https://{host}", server, credentials)
        return ObjectPlace(self.prefix, self.prefers_direct, network, shared_access=_usable(shared_access))

    def _host(self) -> str:
        return read_uri(self.prefix).anchor.partition("@")[2]

    def _account(self) -> str:
        return self._host().partition(".")[0]


class FolderStore(_Store):
    """A folder of this machine, such as a mounted share. No link is followed in it."""

    root: AbsolutePath
    """Where the prefix lies here, no link itself."""

    def place(self, server: ConnectionSettings) -> Place:
        """Return how it is read."""
        del server
        return FolderPlace(self.prefix, self.prefers_direct, self.root)


class WebStore(_RemoteStore):
    """Another MLflow server that serves artifacts: ``https://…/api/2.0/mlflow-artifacts/artifacts``."""

    auth: BasicCredentials | BearerCredentials | None = Field(default=None, discriminator="kind")

    @field_validator("prefix")
    @classmethod
    def _is_http(cls, uri: str) -> str:
        return server_uri(uri, "https://mlflow.example.com/api/2.0/mlflow-artifacts/artifacts")

    def place(self, server: ConnectionSettings) -> Place:
        """Return how it is read."""

        def credentials() -> Credentials:
            return FixedHeaders({"Authorization": self.auth.authorization()} if self.auth else {})

        return WebPlace(self.prefix, self.prefers_direct, self._network(self.prefix, server, credentials))


def _kind(described: object) -> str | None:
    prefix = described.get("prefix") if isinstance(described, Mapping) else getattr(described, "prefix", None)
    return _SCHEMES.get(read_uri(prefix).scheme) if isinstance(prefix, str) else None


ArtifactStore: TypeAlias = Annotated[
    Annotated[S3Store, Tag("s3")]
    | Annotated[GcsStore, Tag("gs")]
    | Annotated[AzureStore, Tag("azure")]
    | Annotated[FolderStore, Tag("folder")]
    | Annotated[WebStore, Tag("web")],
    Discriminator(
        _kind,
        custom_error_type="store_kind",
        custom_error_message="write a prefix that begins with s3://, gs://, abfss://, wasbs://, file:/, http:// or https://",
    ),
]


def _endpoint(uri: str | None, example: str) -> str | None:
    return None if uri is None else server_uri(uri, example, what="endpoint", section="the store's fields").rstrip("/")


def _usable(resolve: Callable[[], T]) -> Callable[[], T]:
    """Let a secret that is not there cost this store only: what it says is what its files are said to lack."""

    def resolved() -> T:
        try:
            return resolve()
        except SecretUnavailableError as error:
            raise UnusableSettingsError(str(error)) from None

    return resolved
