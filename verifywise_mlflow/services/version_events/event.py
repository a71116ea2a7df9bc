"""An event about a version, and its envelope: CloudEvents 1.0 in structured mode.

The bytes of an event are made once, in the transaction of the change. Each attempt at delivery sends the same bytes
with the same ``id``, so that a receiver recognizes a repetition.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypedDict
from urllib.parse import quote

from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.tenants.delivery.event_type import EventType

TYPE_PREFIX: Final = "ai.verifywise.mlflow."
SCHEMA_PREFIX: Final = "tag:verifywise.ai,2026:mlflow/events/"
"""The prefix of the schemas' names. A tag URI (RFC 4151) does not promise that a server has the schema. The package and
the docs contain the schemas."""
_IDS: Final = uuid.UUID("6f1d7c0a-53a1-4d0e-9a63-0c1f1b0f6a55")
"""The namespace of the events' ids."""


@dataclass(frozen=True, slots=True)
class VersionEvent:
    """Something that changed about one version."""

    type: EventType
    model_name: str
    version_number: int
    details: Mapping[str, Json]
    """The members that only this type has, as its schema defines them."""
    summary: str
    """What changed, for people. It may quote the customer's text: escape it where it is shown."""


class EventData(TypedDict):
    """The members of the data of every event."""

    tenant: str
    model: str
    version: int
    summary: str


class CloudEvent(TypedDict):
    """The members of a stored event's envelope that this package reads back."""

    id: str
    type: str
    time: str
    data: EventData


def cloud_event(event: VersionEvent, *, tenant_id: str, sync_id: str, seen_at: datetime, page_url: str) -> str:
    """Return an event in its envelope, as canonical JSON.

    The id is a hash of the content, so a change has the same id for all webhooks.

    Args:
        event: The event.
        tenant_id: The tenant.
        sync_id: The sync that saw the change.
        seen_at: When the sync saw the change.
        page_url: The version's page in MLflow.
    """
    data: dict[str, Json] = {
        "tenant": tenant_id,
        "model": event.model_name,
        "version": event.version_number,
        "summary": event.summary,
        "url": page_url,
        "sync_id": sync_id,
        **event.details,
    }
    subject = f"models/{quote(event.model_name, safe='', errors='replace')}/versions/{event.version_number}"
    time = seen_at.astimezone(UTC).isoformat(timespec="microseconds")
    return canonical_json(
        {
            "specversion": "1.0",
            "id": str(uuid.uuid5(_IDS, canonical_json([event.type.value, time, data]))),
            "source": f"urn:verifywise-mlflow:{quote(tenant_id)}",
            "type": TYPE_PREFIX + event.type.schema_name,
            "subject": subject,
            "time": time,
            "datacontenttype": "application/json",
            "dataschema": SCHEMA_PREFIX + event.type.schema_name,
            "data": data,
        }
    )
