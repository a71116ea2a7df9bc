"""The artifact stores that a tenant allows to be read, as ``tenants.yaml`` describes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from verifywise_mlflow.artifacts.stores import azure, gcs
from verifywise_mlflow.artifacts.stores.azure import SharedKeyAuth
from verifywise_mlflow.artifacts.stores.gcs import ServiceAccountAuth
from verifywise_mlflow.artifacts.stores.s3 import S3Signer
from verifywise_mlflow.artifacts.stores.settings import (
    LocalFolderSettings,
    MlflowProxySettings,
    ObjectStoreSettings,
    StoreSettings,
    bucket_name,
)
from verifywise_mlflow.artifacts.uris import is_unambiguous, parse_uri
from verifywise_mlflow.common.store_schemes import AZURE_SCHEMES
from verifywise_mlflow.http.errors import InvalidSettingsError
from verifywise_mlflow.http.oauth2 import OAuth2Client, OAuth2TokenSource
from verifywise_mlflow.http.request_auth import RequestAuthenticator, StaticHeaders
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.sigv4 import AwsKeys
from verifywise_mlflow.tenants.auth import BasicCredentials, BearerCredentials
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import AbsolutePath, ConfigSection, http_uri

T = TypeVar("T")

_SCHEMES = {
    "s3": "s3",
    "gs": "gs",
    **dict.fromkeys(AZURE_SCHEMES, "azure"),
    "file": "folder",
    "http": "web",
    "https": "web",
}


class _Store(ConfigSection):
    prefix: str
    """The URI of a folder, as MLflow writes it. The folder may be read with everything below it."""
    prefer: Literal["served", "direct"] = "served"
    """How to read files that the tracking server also serves: through the tracking server, or directly."""

    @field_validator("prefix")
    @classmethod
    def _is_unambiguous_location(cls, prefix: str) -> str:
        uri = parse_uri(prefix)
        if not is_unambiguous(prefix) or (uri.scheme != "file" and "://" not in uri.anchor):
            raise ValueError(
                "the prefix is not the plain URI of a bucket, container, server or folder: "
                "write it without escapes, relative segments and a query"
            )
        return prefix.rstrip("/")

    @property
    def prefers_direct(self) -> bool:
        """Whether files are read directly even if the tracking server serves them."""
        return self.prefer == "direct"


class _RemoteStore(_Store):
    allow_private_network: bool = False
    """Whether the store may have a private, loopback or link-local address."""
    ca_bundle: AbsolutePath | None = None
    """PEM file of the authorities to trust instead of the system's authorities."""

    def _network(
        self, base_uri: str, server: ConnectionSettings, credentials: Callable[[], RequestAuthenticator]
    ) -> ConnectionSettings:
        """Return the connection settings of the store, with the limits and the proxy of the tenant's own server."""
        return ConnectionSettings(
            base_uri=base_uri.rstrip("/"),
            credentials=_usable(credentials),
            allow_private_network=self.allow_private_network,
            ca_bundle=self.ca_bundle,
            tls_strict=server.tls_strict,
            proxy=server.proxy,
            limits=server.limits,
        )


class S3Store(_RemoteStore):
    """A bucket of S3 or a compatible store. Without keys, requests are not signed."""

    endpoint: str | None = None
    """The endpoint of the store. Null: the AWS endpoint of the region."""
    region: str = Field(default="us-east-1", pattern="^[a-z0-9-]+$")
    path_style: bool | None = None
    """Whether the URL has the bucket in the path or in the host name. Null: in the path if an endpoint is set."""
    access_key_id: SecretReference | None = None
    secret_access_key: SecretReference | None = None
    session_token: SecretReference | None = None
    """The session token of temporary credentials."""

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, uri: str | None) -> str | None:
        return _endpoint(uri, "https://minio.example.com:9000")

    @model_validator(mode="after")
    def _keys_are_pairs(self) -> S3Store:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("only one of access_key_id and secret_access_key is set: set both or neither")
        if self.session_token and not self.access_key_id:
            raise ValueError("session_token is set without keys: add access_key_id and secret_access_key")
        return self

    def store_settings(self, server: ConnectionSettings) -> StoreSettings:
        """Return the settings for reading the store."""
        bucket = bucket_name(self.prefix)
        is_path_style = self.path_style if self.path_style is not None else self.endpoint is not None
        endpoint = self.endpoint or f"https://s3.{self.region}.amazonaws.com"
        if not is_path_style:
            scheme, _, host = endpoint.partition("://")
            endpoint = f"{scheme}://{bucket}.{host}"

        def credentials() -> RequestAuthenticator:
            if self.access_key_id is None or self.secret_access_key is None:
                return StaticHeaders()
            token = self.session_token.resolve() if self.session_token else None
            return S3Signer(AwsKeys(self.access_key_id.resolve(), self.secret_access_key.resolve(), token), self.region)

        network = self._network(endpoint, server, credentials)
        return ObjectStoreSettings(self.prefix, self.prefers_direct, network, is_path_style)


class GcsStore(_RemoteStore):
    """A bucket of Google Cloud Storage. Without a key, access is anonymous."""

    endpoint: str = gcs.ENDPOINT
    service_account: SecretReference | None = None
    """The JSON key of a service account."""

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, uri: str) -> str:
        return http_uri(uri, gcs.ENDPOINT, section="the store's fields").rstrip("/")

    def store_settings(self, server: ConnectionSettings) -> StoreSettings:
        """Return the settings for reading the store."""

        def credentials() -> RequestAuthenticator:
            return ServiceAccountAuth(self.service_account.resolve()) if self.service_account else StaticHeaders()

        return ObjectStoreSettings(self.prefix, self.prefers_direct, self._network(self.endpoint, server, credentials))


class AzureStore(_RemoteStore):
    """A container of Azure Blob Storage. Access is by key, shared access signature or client secret, else anonymous."""

    endpoint: str | None = None
    """The endpoint of the account's blob service. Null: the endpoint that the prefix names."""
    account_key: SecretReference | None = None
    sas_token: SecretReference | None = None
    """The query string of a shared access signature, with or without the question mark."""
    tenant_id: str | None = Field(default=None, pattern="^[A-Za-z0-9.-]+$")
    """The Microsoft directory (called tenant there) that the client is registered in."""
    client_id: str | None = Field(default=None, min_length=1)
    client_secret: SecretReference | None = None
    authority: str = "https://login.microsoftonline.com"
    """The issuer of the client's tokens; national clouds have other issuers."""

    @field_validator("endpoint", "authority")
    @classmethod
    def _is_http(cls, uri: str | None) -> str | None:
        return _endpoint(uri, "https://account.blob.core.windows.net")

    @model_validator(mode="after")
    def _has_at_most_one_credential(self) -> AzureStore:
        client = (self.tenant_id, self.client_id, self.client_secret)
        if any(client) and not all(client):
            raise ValueError("only some of tenant_id, client_id and client_secret are set: set all three or none")
        if sum(credential is not None for credential in (self.account_key, self.sas_token, self.client_secret)) > 1:
            raise ValueError("several credentials are set: write only one of account_key, sas_token and client_secret")
        if not self._account():
            raise ValueError(
                "the prefix names no account: write it as abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/path"
            )
        return self

    def store_settings(self, server: ConnectionSettings) -> StoreSettings:
        """Return the settings for reading the store."""

        def credentials() -> RequestAuthenticator:
            if self.account_key:
                return SharedKeyAuth(self._account(), self.account_key.resolve())
            if self.client_id and self.client_secret:
                issuer = ConnectionSettings(
                    base_uri=f"{self.authority}/{self.tenant_id}/oauth2/v2.0/token",
                    allow_private_network=self.allow_private_network,
                    ca_bundle=self.ca_bundle,
                    tls_strict=server.tls_strict,
                    proxy=server.proxy,
                    limits=server.limits,
                )
                client = OAuth2Client(self.client_id, self.client_secret.resolve(), azure.SCOPE, None, "post")
                return OAuth2TokenSource(issuer, client)
            return StaticHeaders()

        def sas_query() -> str:
            return self.sas_token.resolve().removeprefix("?") if self.sas_token else ""

        host = self._host().replace(".dfs.", ".blob.", 1)
        network = self._network(self.endpoint or f"https://{host}", server, credentials)
        return ObjectStoreSettings(self.prefix, self.prefers_direct, network, sas_query=_usable(sas_query))

    def _host(self) -> str:
        return parse_uri(self.prefix).anchor.partition("@")[2]

    def _account(self) -> str:
        return self._host().partition(".")[0]


class LocalFolderStore(_Store):
    """A folder of this machine, such as a mounted share. Links in it are not followed."""

    root: AbsolutePath
    """The local path of the prefix; it must not be a link."""

    def store_settings(self, server: ConnectionSettings) -> StoreSettings:
        """Return the settings for reading the store."""
        del server
        return LocalFolderSettings(self.prefix, self.prefers_direct, self.root)


class MlflowProxyStore(_RemoteStore):
    """Another MLflow server that serves artifacts: ``https://…/api/2.0/mlflow-artifacts/artifacts``."""

    auth: BasicCredentials | BearerCredentials | None = Field(default=None, discriminator="kind")

    @field_validator("prefix")
    @classmethod
    def _is_http(cls, uri: str) -> str:
        return http_uri(uri, "https://mlflow.example.com/api/2.0/mlflow-artifacts/artifacts")

    def store_settings(self, server: ConnectionSettings) -> StoreSettings:
        """Return the settings for reading the store."""

        def credentials() -> RequestAuthenticator:
            return StaticHeaders({"Authorization": self.auth.authorization()} if self.auth else {})

        return MlflowProxySettings(self.prefix, self.prefers_direct, self._network(self.prefix, server, credentials))


def _scheme_list() -> str:
    *beginnings, last = (f"{scheme}:/" if scheme == "file" else f"{scheme}://" for scheme in _SCHEMES)
    return f"{', '.join(beginnings)} or {last}"


def _kind(description: object) -> str | None:
    prefix = description.get("prefix") if isinstance(description, Mapping) else getattr(description, "prefix", None)
    return _SCHEMES.get(parse_uri(prefix).scheme) if isinstance(prefix, str) else None


ArtifactStore: TypeAlias = Annotated[
    Annotated[S3Store, Tag("s3")]
    | Annotated[GcsStore, Tag("gs")]
    | Annotated[AzureStore, Tag("azure")]
    | Annotated[LocalFolderStore, Tag("folder")]
    | Annotated[MlflowProxyStore, Tag("web")],
    Discriminator(
        _kind,
        custom_error_type="store_kind",
        custom_error_message=f"the prefix has no known scheme: begin it with {_scheme_list()}",
    ),
]


def _endpoint(uri: str | None, example: str) -> str | None:
    return (
        None
        if uri is None
        else http_uri(uri, example, server_kind="endpoint", section="the store's fields").rstrip("/")
    )


def _usable(resolve: Callable[[], T]) -> Callable[[], T]:
    """Limit the effect of a missing secret to this store: the error becomes the reason why its files were not read."""

    def resolved() -> T:
        try:
            return resolve()
        except SecretUnavailableError as error:
            raise InvalidSettingsError(str(error)) from None

    return resolved
