"""The types of events that webhooks receive."""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """The types of events; ``delivery/cloud_events/schemas`` has a schema for the data of each type."""

    FIRST_SEEN = "version.first-seen"
    STAGE_CHANGED = "version.stage-changed"
    ALIAS_CHANGED = "version.alias-changed"
    BADGE_CHANGED = "version.badge-changed"
    GAPS_OPENED = "version.gaps-opened"
    GAPS_CLOSED = "version.gaps-closed"
    FILES_CHANGED = "version.files-changed"
    DISAPPEARED = "version.disappeared"
    REAPPEARED = "version.reappeared"
    RECREATED = "version.recreated"

    @property
    def schema_name(self) -> str:
        """The name of the type's schema. The number in the name grows with each change that could break a receiver."""
        return f"{self.value}.v1"
