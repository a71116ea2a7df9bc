"""From a tenant's description to the settings of a connection."""

from __future__ import annotations

from verifywise_mlflow.connector.credentials import FixedHeaders
from verifywise_mlflow.connector.settings import ConnectionSettings
from verifywise_mlflow.tenants.tenant import Tenant


def connection_settings(tenant: Tenant) -> ConnectionSettings:
    """Return the settings; secrets are resolved when the connection opens, not here."""

    def credentials() -> FixedHeaders:
        resolved = {name: reference.resolve() for name, reference in tenant.headers.items()}
        authorization = tenant.auth.authorization()
        return FixedHeaders(resolved | ({"Authorization": authorization} if authorization else {}))

    return ConnectionSettings(
        base_uri=tenant.tracking_uri,
        credentials=credentials,
        workspace=tenant.workspace,
        allow_private_network=tenant.allow_private_network,
        ca_bundle=tenant.tls.ca_bundle,
        client_certificate=tenant.tls.client_certificate,
        client_key=tenant.tls.client_key,
    )
