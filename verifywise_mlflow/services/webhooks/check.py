"""Checks a tenant's webhooks: how they are registered in MLflow, and whether their deliveries arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.webhooks import list_webhooks
from verifywise_mlflow.http.errors import ForbiddenError, HttpError
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import WebhookStatus
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.webhooks.comparison import WantedWebhook, WebhookComparison, compare
from verifywise_mlflow.services.webhooks.health import are_alive
from verifywise_mlflow.services.webhooks.support import POLLING, WebhookSupport
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.mlflow_webhooks import Webhooks
from verifywise_mlflow.tenants.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What the listener and the syncs have recorded about a tenant's webhooks."""

    status: WebhookStatus
    pending_hints: int
    oldest_hint_at: datetime | None


@dataclass(frozen=True, slots=True)
class WebhookCheck:
    """The result of a check."""

    comparison: WebhookComparison | None
    """None if the webhooks could not be listed."""
    unlisted_because: str | None
    """Why the webhooks could not be listed, and what to do."""
    is_forbidden: bool
    """Whether the account lacks the permission to list webhooks. That is not a problem: administrators can list
    them."""
    problems: tuple[str, ...]
    """Why the list may be incomplete."""
    deliveries: Deliveries
    is_alive: bool
    """Whether a delivery has arrived lately, so that ``webhooks.listing`` may apply."""

    @property
    def is_as_wanted(self) -> bool:
        """Whether the tenant's webhook was found with all events, and nothing is to be done."""
        return self.comparison is not None and not self.comparison.findings and not self.problems

    @property
    def needs_action(self) -> bool:
        """Whether a difference was found that needs action."""
        return not self.is_as_wanted and not self.is_forbidden


def check_webhooks(
    tenant: Tenant, webhooks: Webhooks, store: Store, support: WebhookSupport, listener: str | None, now: datetime
) -> WebhookCheck:
    """Return how a tenant's webhooks are registered and whether they deliver. MLflow is only read.

    Args:
        tenant: The tenant.
        webhooks: The tenant's section ``webhooks``.
        store: The database.
        support: Which events the server can send.
        listener: The listener's address; None accepts any address.
        now: The current time.

    Raises:
        SecretUnavailableError: a credential or the path cannot be resolved.
        DatabaseError: the database cannot be used.
    """
    deliveries = read_deliveries(store, tenant.tenant_id)
    is_alive = are_alive(webhooks, deliveries.status, now)
    if not support.events:
        return WebhookCheck(None, support.sentence, False, (), deliveries, is_alive)
    wanted = WantedWebhook(webhooks.path.resolve(), support.events, listener)
    try:
        listing = list_webhooks(connection_settings(tenant))
    except HttpError as error:
        return WebhookCheck(None, _why_unlisted(error), isinstance(error, ForbiddenError), (), deliveries, is_alive)
    problems: Sequence[str] = listing.problems[:3]
    return WebhookCheck(compare(listing.rows, wanted), None, False, tuple(problems), deliveries, is_alive)


def read_deliveries(store: Store, tenant_id: str) -> Deliveries:
    """Return the records of the listener and of syncs about a tenant's webhooks."""
    with store.begin(tenant_id) as session:
        hints = change_hints.pending(session)
        status = change_hints.status(session)
    return Deliveries(status, len(hints), min((hint.first_received_at for hint in hints), default=None))


def _why_unlisted(error: HttpError) -> str:
    match error:
        case ForbiddenError():
            return (
                "MLflow lists webhooks for administrators only, and this account is none. That is as it should be: let "
                "an administrator compare them, or rely on the last delivery"
            )
        case EndpointNotFoundError():
            return f"the server has no webhooks, or a proxy in front of it does not forward them: {POLLING}"
        case _:
            return f"{error}. If MLflow's log says InvalidToken, its MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY has changed"
