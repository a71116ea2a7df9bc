"""What ``gaps --json`` prints, with and without ``--by``."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.services.gaps import Gap, GapGroup, Grouping


class GapsDocument(JsonDocument):
    """The gaps of one or several tenants."""

    NAME: ClassVar[str] = "gaps"

    at: datetime
    """When the gaps were read, UTC. Ages and waivers are as of this time."""
    tenants: tuple[str, ...]
    """The tenants that were asked about: those that the database role may see, unless some were named."""
    gaps: tuple[Gap, ...] = ()
    """The gaps that match the filters, by tenant, the most urgent first."""


class GapGroupsDocument(JsonDocument):
    """The gaps of one or several tenants, counted by what they have in common."""

    NAME: ClassVar[str] = "gap-groups"

    at: datetime
    """When the gaps were counted, UTC. Ages and waivers are as of this time."""
    tenants: tuple[str, ...]
    """The tenants that were asked about: those that the database role may see, unless some were named."""
    by: Grouping
    """What the gaps of a group have in common."""
    groups: tuple[GapGroup, ...] = ()
    """The groups, by tenant. The group with the worst gaps is first."""
