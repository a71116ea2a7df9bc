"""MLflow's webhooks: their events, the releases that support them, and the list of registered webhooks.

MLflow 3.17 with a login (``--app-name basic-auth``) shows the list to administrators only. The list has no secrets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from packaging.version import InvalidVersion, Version

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.pagination import Listing, PagedListing, read_listing
from verifywise_mlflow.connector.registry_search import page_token_param
from verifywise_mlflow.connector.response_row import Row
from verifywise_mlflow.connector.rest_client import RestClient, fetch_with_client
from verifywise_mlflow.connector.text_intake import TextIntake
from verifywise_mlflow.http.settings import ConnectionSettings, Limits

FIRST_RELEASE: Final = "3.3"
"""The first release of MLflow with webhooks, which report changes of models and versions."""

FIRST_RELEASE_WITH_PROMPTS: Final = "3.5"
"""The first release whose webhooks report changes of prompts. Earlier releases refuse a webhook with such an event."""

MODEL_EVENTS: Final = (
    "registered_model.created",
    "model_version.created",
    "model_version_tag.set",
    "model_version_tag.deleted",
    "model_version_alias.created",
    "model_version_alias.deleted",
)
PROMPT_EVENTS: Final = (
    "prompt.created",
    "prompt_version.created",
    "prompt_tag.set",
    "prompt_tag.deleted",
    "prompt_version_tag.set",
    "prompt_version_tag.deleted",
    "prompt_alias.created",
    "prompt_alias.deleted",
)

MAX_WEBHOOKS: Final = 1_000
"""The maximum number of registered webhooks that are read. A server has a few webhooks."""

_PAGE_SIZE: Final = 100


@dataclass(frozen=True, slots=True)
class RegisteredWebhook:
    """A webhook as MLflow lists it: untrusted texts."""

    webhook_id: str
    name: str
    url: str
    """The address that MLflow delivers to. The address of another service may contain that service's secret."""
    events: frozenset[str]
    """Names of events, such as ``model_version.created``."""
    is_active: bool
    last_updated_at: datetime | None


def available_events(version: str | None) -> tuple[str, ...]:
    """Return the events that a release of MLflow can deliver; all known events if the release is unknown."""
    release = _release(version)
    if release is None or release >= Version(FIRST_RELEASE_WITH_PROMPTS):
        return MODEL_EVENTS + PROMPT_EVENTS
    return MODEL_EVENTS if release >= Version(FIRST_RELEASE) else ()


def _release(version: str | None) -> Version | None:
    try:
        # A release candidate has the features of its release.
        return Version(Version(version).base_version) if version else None
    except InvalidVersion:
        return None


def list_webhooks(settings: ConnectionSettings) -> Listing[RegisteredWebhook]:
    """Return the webhooks that the account may see, in its workspace.

    Raises:
        EndpointNotFoundError: the server has no webhooks, as before MLflow 3.3.
        ForbiddenError: the account may not list them.
        HttpError: the list cannot be read.
    """
    return fetch_with_client(settings, lambda client: _read(client, settings.limits))


def _read(client: RestClient, limits: Limits) -> Listing[RegisteredWebhook]:
    def fetch_page(token: str | None, max_rows: int) -> dict[str, object]:
        params = (("max_results", max_rows), *page_token_param(token))
        return client.get_json(MlflowEndpoint.LIST_WEBHOOKS, params)

    listing = PagedListing(fetch_page, "webhooks", _webhook, lambda webhook: webhook.webhook_id, _PAGE_SIZE)
    return read_listing(listing, replace(limits, max_rows=min(limits.max_rows, MAX_WEBHOOKS)))


def _webhook(value: object, intake: TextIntake) -> RegisteredWebhook:
    row = Row(value, intake)
    events = (f"{event.text('entity') or ''}.{event.text('action') or ''}" for event in row.rows("events"))
    return RegisteredWebhook(
        webhook_id=row.identity("webhook_id"),
        name=row.text("name") or "",
        url=row.text("url") or "",
        events=frozenset(event.lower() for event in events),
        is_active=row.text("status") == "ACTIVE",
        last_updated_at=row.time("last_updated_timestamp"),
    )
