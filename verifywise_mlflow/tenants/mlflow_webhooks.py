"""Settings for the webhooks that MLflow sends to us: the section ``webhooks`` of ``tenants.yaml``, with its defaults.

``delivery/webhooks.py`` has the settings for webhooks that we post to.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from verifywise_mlflow.tenants.intervals import Interval
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import ConfigSection


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Webhooks(ConfigSection):
    """How the listener recognizes the tenant's webhooks, and which settings apply while the webhooks are alive."""

    path: SecretReference
    """The end of the address that MLflow delivers to. Other paths are refused before a signature is checked."""
    secret: Annotated[tuple[SecretReference, ...], BeforeValidator(_as_list), Field(min_length=1, max_length=2)]
    """The secret that MLflow signs with; two secrets during a rotation."""
    listing: Interval | None = None
    """The interval that replaces ``intervals.listing`` while the webhooks are alive. Null: no replacement."""
    alive_for: Interval = timedelta(hours=1)
    """How long after the last verified delivery the webhooks count as alive."""
    events_per_minute: int = Field(default=600, gt=0, le=100_000)
    """The maximum number of deliveries per minute, on average, that a listener process accepts. Further deliveries get
    a 429, and MLflow retries them a few times."""
