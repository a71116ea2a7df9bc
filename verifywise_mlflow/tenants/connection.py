"""Opens connections to tenants' MLflow servers with the settings from ``tenants.yaml``."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from verifywise_mlflow.connector.databricks.reader import DatabricksReader
from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.http.oauth2 import OAuth2Client, OAuth2TokenSource
from verifywise_mlflow.http.request_auth import RequestAuthenticator, StaticHeaders, WithExtraHeaders
from verifywise_mlflow.http.settings import ConnectionSettings, ProxySettings
from verifywise_mlflow.http.sigv4 import AwsKeys, SigV4Signer
from verifywise_mlflow.http.sync_deadline import SyncDeadline
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
from verifywise_mlflow.tenants.auth import (
    BasicCredentials,
    BearerCredentials,
    NoCredentials,
    OAuth2Credentials,
    SigV4Credentials,
)
from verifywise_mlflow.tenants.network import Proxy
from verifywise_mlflow.tenants.redacting_reader import RedactingReader
from verifywise_mlflow.tenants.server import DatabricksServer, MlflowServer
from verifywise_mlflow.tenants.tenant import Tenant


def connection_settings(tenant: Tenant, deadline: SyncDeadline | None = None) -> ConnectionSettings:
    """Return the connection settings; secrets are resolved when the connection opens, not here."""

    def credentials() -> RequestAuthenticator:
        extra_headers = {name: reference.resolve() for name, reference in tenant.headers.items()}
        return WithExtraHeaders(_credentials(tenant), extra_headers)

    return ConnectionSettings(
        base_uri=tenant.tracking_uri,
        credentials=credentials,
        workspace=tenant.workspace,
        allow_private_network=tenant.allow_private_network,
        ca_bundle=tenant.tls.ca_bundle,
        client_certificate=tenant.tls.client_certificate,
        client_key=tenant.tls.client_key,
        tls_strict=tenant.tls.strict,
        proxy=proxy_settings(tenant.proxy),
        limits=tenant.limits,
        redact=EntityRedactor(tenant.redaction).message,
        deadline=deadline,
    )


def open_reader(tenant: Tenant, deadline: SyncDeadline | None = None) -> Reader:
    """Return a connection to the tenant's server that redacts its results and its errors: a ``RedactingReader``.

    Args:
        tenant: The tenant.
        deadline: The deadline of the sync that the connection belongs to.

    Raises:
        HttpError: the server cannot be used.
        SecretUnavailableError: the reference of a credential cannot be resolved.
    """
    settings = connection_settings(tenant, deadline)
    return RedactingReader(lambda: _open_unredacted(tenant, settings), tenant.redaction)


def _open_unredacted(tenant: Tenant, settings: ConnectionSettings) -> Reader:
    match tenant.server:
        case DatabricksServer(registry=registry, catalogs=catalogs):
            return DatabricksReader(settings, registry, catalogs)
        case MlflowServer():
            return MlflowReader(settings)


def _credentials(tenant: Tenant) -> RequestAuthenticator:
    match tenant.auth:
        case NoCredentials():
            return StaticHeaders()
        case BasicCredentials() | BearerCredentials() as auth:
            return StaticHeaders({"Authorization": auth.authorization()})
        case OAuth2Credentials() as auth:
            issuer = ConnectionSettings(
                base_uri=auth.token_uri,
                allow_private_network=tenant.allow_private_network,
                ca_bundle=auth.ca_bundle,
                tls_strict=tenant.tls.strict,
                proxy=proxy_settings(tenant.proxy),
                limits=tenant.limits,
            )
            secret = auth.client_secret.resolve()
            return OAuth2TokenSource(
                issuer, OAuth2Client(auth.client_id, secret, auth.scope, auth.audience, auth.client_authentication)
            )
        case SigV4Credentials() as auth:
            token = auth.session_token.resolve() if auth.session_token else None
            keys = AwsKeys(auth.access_key_id.resolve(), auth.secret_access_key.resolve(), token)
            return SigV4Signer(keys, *auth.signing_scope(), auth.server())


def proxy_settings(proxy: Proxy | None) -> ProxySettings | None:
    """Return the settings of a connection's proxy; its password is resolved when the connection opens."""
    if proxy is None:
        return None
    username, password = proxy.username, proxy.password

    def headers() -> Mapping[str, str]:
        if username is None or password is None:
            return {}
        pair = f"{username}:{password.resolve()}"
        return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}

    return ProxySettings(proxy.uri, headers, allow_private_network=proxy.allow_private_network)
