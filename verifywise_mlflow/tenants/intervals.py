"""How often a tenant's data is read: the section ``intervals`` of ``tenants.yaml``, with its defaults."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, model_validator

from verifywise_mlflow.tenants.validators import ConfigSection

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _interval(value: object) -> timedelta:
    match = re.fullmatch(r"([0-9]+)\s*([smhd])", value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError("this is not an interval: write a number and a unit, such as 30s, 5m, 1h or 7d")
    if len(match[1]) > 9:
        raise ValueError("the interval is too long: write at most 9 digits")  # timedelta ends at 999,999,999 days
    interval = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not interval:
        raise ValueError("the interval is zero: write one that is longer than zero")
    return interval


Interval = Annotated[timedelta, BeforeValidator(_interval)]


class Intervals(ConfigSection):
    """How old stored data may become before it is read again."""

    poll: Interval = timedelta(minutes=1)
    """The interval of polls for the timestamps of the newest version and, if prompts are stored, of the newest prompt.
    Each timestamp takes one request."""
    listing: Interval = timedelta(minutes=5)
    """The interval of listings of models, versions and prompts. They take one request per 1,000 models, one request per
    10,000 versions, and one or two requests for prompts."""
    reconcile: Interval = timedelta(hours=1)
    """The interval for reading all linked runs: changes of their tags and metrics change no timestamp in MLflow."""
    rehash: Interval = timedelta(days=1)
    """The interval for hashing the artifacts of unchanged versions in production again."""
    rehash_non_production: Interval = timedelta(days=30)
    """The interval for hashing the artifacts of all other unchanged versions again."""
    stale_after: Interval | None = None
    """The time after its last completion at which a stage becomes stale. Null: twice ``reconcile`` plus ten minutes."""

    @model_validator(mode="after")
    def _is_stale_only_after_a_missed_reconcile(self) -> Intervals:
        if self.stale_after is not None and self.stale_after <= self.reconcile:
            raise ValueError(
                "stale_after is not longer than reconcile, so a tenant would be stale before its next sync: "
                "write a longer one"
            )
        return self
