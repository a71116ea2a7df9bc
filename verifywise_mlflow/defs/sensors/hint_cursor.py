"""The cursor of the sensor ``mlflow_changes``: which hints it has requested a sync for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import Field

from verifywise_mlflow.defs.sensors.cursor import Cursor


class RequestedHints(NamedTuple):
    """The last request for a tenant, stored as an array."""

    revision: int
    """Of the newest hint at that time."""
    requested_at: float
    """In seconds since 1970, UTC."""
    retries: int
    """Requests in a row that repeat one without success."""


class HintCursor(Cursor):
    """The state that one tick leaves to the next: nothing for a tenant without hints."""

    requested: Mapping[str, RequestedHints] = Field(default_factory=dict)
