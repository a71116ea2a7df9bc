"""The webhooks that a tenant's changes are posted to as CloudEvents, as ``tenants.yaml`` describes them."""

from __future__ import annotations

from verifywise_mlflow.tenants.validators import ConfigSection


class WebhookSettings(ConfigSection):
    """A webhook."""
