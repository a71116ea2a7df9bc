"""The targets of a tenant, as its settings configure them."""

from __future__ import annotations

from collections.abc import Iterator

from verifywise_mlflow.delivery.cloud_events.webhook import Webhook
from verifywise_mlflow.delivery.openlineage.target import OpenLineageTarget
from verifywise_mlflow.delivery.target import Target
from verifywise_mlflow.delivery.verifywise.target import VerifyWiseTarget
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant


def configured_targets(tenant: Tenant, store: Store) -> list[Target]:
    """Return the tenant's targets. No request is sent and no secret is resolved."""
    return list(_targets(tenant, store))


def _targets(tenant: Tenant, store: Store) -> Iterator[Target]:
    if tenant.delivery.verifywise:
        yield VerifyWiseTarget(tenant, tenant.delivery.verifywise, store)
    if tenant.delivery.openlineage:
        yield OpenLineageTarget(store, tenant, tenant.delivery.openlineage)
    for webhook in tenant.delivery.webhooks:
        yield Webhook(store, tenant.tenant_id, webhook)
