"""Events of webhooks, by the names that this project uses for them."""

from __future__ import annotations

from collections.abc import Iterable

from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent


def webhook_events(names: Iterable[str]) -> list[WebhookEvent]:
    """Return the events, as MLflow's client represents them, for names such as ``model_version.created``.

    The client's own ``from_str`` is typed with the names of one release.
    """
    parts = (name.split(".") for name in names)
    return [WebhookEvent(WebhookEntity(entity), WebhookAction(action)) for entity, action in parts]
