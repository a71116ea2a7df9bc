"""The cursor of the sensor ``mlflow_changes``: the hints for which it has requested a sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import Field

from verifywise_mlflow.defs.sensors.cursor import Cursor


class RequestedHints(NamedTuple):
    """The last request for a tenant, stored as an array."""

    revision: int
    """The revision of the newest hint at the time of the request."""
    requested_at: float
    """In seconds since 1970, UTC."""
    retries: int
    """The number of consecutive requests that repeated an unsuccessful request."""


class HintCursor(Cursor):
    """The state that one tick leaves to the next: nothing for a tenant without hints."""

    requested: Mapping[str, RequestedHints] = Field(default_factory=dict)
