"""The cursor of the sensor ``mlflow_changes``: the hints for which it has requested a sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import Field

from verifywise_mlflow.defs.sensors.cursor import Cursor


class RequestedHints(NamedTuple):
    """The last request for a tenant, stored as an array."""

    revision: int
    """The revision of the newest hint at that time."""
    requested_at: float
    """In seconds since 1970, UTC."""
    retries: int
    """How many consecutive requests repeated an unsuccessful one."""


class HintCursor(Cursor):
    """The state that one tick leaves to the next: nothing for a tenant without hints."""

    requested: Mapping[str, RequestedHints] = Field(default_factory=dict)
