"""Lifecycle and integrity events as events for webhooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.services.version_events.event import VersionEvent
from verifywise_mlflow.tenants.delivery.event_type import EventType

MAX_FILES: Final = 100
"""The maximum number of changed files that one event lists; ``file_count`` counts all changed files."""
_TYPES: Final = {
    EventKind.FIRST_SEEN: EventType.FIRST_SEEN,
    EventKind.STAGE: EventType.STAGE_CHANGED,
    EventKind.ALIAS: EventType.ALIAS_CHANGED,
    EventKind.DISAPPEARED: EventType.DISAPPEARED,
    EventKind.REAPPEARED: EventType.REAPPEARED,
    EventKind.RECREATED: EventType.RECREATED,
}


def from_lifecycle_events(events: Iterable[LifecycleEvent]) -> Iterator[VersionEvent]:
    """Yield the events about versions and their aliases. Events about a model alone, a status or a job are left out."""
    for event in events:
        event_type = _TYPES.get(event.kind)
        if event_type is None or event.version_number is None:
            continue
        yield VersionEvent(
            event_type, event.model_name, event.version_number, _details(event_type, event), event.sentence
        )


def _details(event_type: EventType, event: LifecycleEvent) -> dict[str, Json]:
    happened_at = event.happened_at.isoformat() if event.happened_at else None
    match event_type:
        case EventType.STAGE_CHANGED:
            return {"previous": event.previous, "stage": event.value, "happened_at": happened_at}
        case EventType.ALIAS_CHANGED:
            previous, current = (None if text is None else int(text) for text in (event.previous, event.value))
            return {"alias": event.alias, "previous_version": previous, "current_version": current}
        case EventType.FIRST_SEEN | EventType.RECREATED:
            return {"incarnation": event.incarnation, "created_at": happened_at}
        case _:
            return {"incarnation": event.incarnation}


def from_integrity_events(events: Iterable[IntegrityEvent]) -> Iterator[VersionEvent]:
    """Yield one event for each version whose files changed in place. A version's events must be adjacent."""
    for (model_name, version_number), group in groupby(events, key=lambda event: event.key):
        changes = list(group)
        more = f", and {len(changes) - 1:,} more changes" if len(changes) > 1 else ""
        details: dict[str, Json] = {
            "file_count": len(changes),
            "files": [_file(item) for item in changes[:MAX_FILES]],
            "unchanged_until": min(item.former_read_at for item in changes).isoformat(),
        }
        summary = escape_invisible(changes[0].change.sentence) + more
        yield VersionEvent(EventType.FILES_CHANGED, model_name, version_number, details, summary)


def _file(event: IntegrityEvent) -> Json:
    change = event.change
    return {
        "change": change.kind,
        "root": change.root,
        "path": change.path,
        "former_sha256": change.former_sha256,
        "sha256": change.sha256,
        "former_size": change.former_size,
        "size": change.size,
    }
