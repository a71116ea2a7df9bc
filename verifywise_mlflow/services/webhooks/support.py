"""Whether a tenant's MLflow server can send webhooks, by its release and its kind of store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.connector.mlflow_reader import ServerInfo
from verifywise_mlflow.connector.webhooks import (
    FIRST_RELEASE,
    FIRST_RELEASE_WITH_PROMPTS,
    MODEL_EVENTS,
    PROMPT_EVENTS,
    available_events,
)
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.tenants.connection import open_reader
from verifywise_mlflow.tenants.server import DatabricksServer
from verifywise_mlflow.tenants.tenant import Tenant

POLLING: Final = "polling goes on as before"


@dataclass(frozen=True, slots=True)
class WebhookSupport:
    """The webhooks that a server can send."""

    version: str | None
    """The release that the server reports; None if unknown."""
    events: tuple[str, ...]
    """The events that we use and the server can send; empty if it sends no webhooks."""
    sentence: str
    """The result as a sentence for people."""


def read_support(tenant: Tenant) -> WebhookSupport:
    """Request the release of a tenant's server. If it cannot be read, all events are assumed.

    Raises:
        SecretUnavailableError: a credential cannot be resolved.
    """
    try:
        reader = open_reader(tenant)
    except HttpError as error:
        return WebhookSupport(None, available_events(None), f"The server's release could not be read: {error}")
    try:
        return support_of(tenant, reader.server)
    finally:
        reader.close()


def support_of(tenant: Tenant, server: ServerInfo) -> WebhookSupport:
    """Return the webhooks that a tenant's server can send."""
    if isinstance(tenant.server, DatabricksServer):
        return WebhookSupport(None, (), f"Databricks does not send MLflow's webhooks: {POLLING}")
    events = available_events(server.version)
    release = f"MLflow {server.version}" if server.version else "MLflow of an unknown release"
    if server.store_type == "FileStore":
        events, sentence = (), f"{release} with a file store has no webhooks, a database has: until then, {POLLING}"
    elif not events:
        sentence = f"{release} has no webhooks, MLflow {FIRST_RELEASE} and later has: until then, {POLLING}"
    elif server.version is None:
        sentence = f"{release}: {FIRST_RELEASE} has webhooks, {FIRST_RELEASE_WITH_PROMPTS} also for prompts"
    elif events == MODEL_EVENTS:
        sentence = f"{release} has webhooks for models, {FIRST_RELEASE_WITH_PROMPTS} and later also for prompts"
    else:
        assert set(events) == {*MODEL_EVENTS, *PROMPT_EVENTS}
        sentence = f"{release} has webhooks for models and prompts"
    return WebhookSupport(server.version, events, sentence)
