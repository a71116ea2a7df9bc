"""Chooses the new tenants whose first sync the sensor ``tenants`` requests in a tick; the sensor's cursor. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from verifywise_mlflow.defs.sensors.cursor import Cursor
from verifywise_mlflow.defs.sensors.tick_limit import MAX_SYNCS_PER_TICK


class TenantsCursor(Cursor):
    """The state that one tick leaves to the next: about 20 bytes, and the names of the tenants that wait."""

    digest: str = ""
    """The digest of tenants.yaml as the store has it; empty before the first tick."""
    waiting: tuple[str, ...] = ()
    """New tenants beyond the limit of the last tick, in the order in which their turn comes."""


@dataclass(frozen=True, slots=True)
class FirstSyncs:
    """The new tenants of a tick."""

    requested: tuple[str, ...]
    """The tenants to add a partition for, and to sync."""
    waiting: tuple[str, ...]
    """The other new tenants. They have no partition yet, so no other sensor and no schedule requests their sync."""


def choose_first_syncs(configured: Iterable[str], partitions: Collection[str], waiting: Iterable[str]) -> FirstSyncs:
    """Return the new tenants, which are in tenants.yaml and have no partition.

    Tenants that have waited come before tenants that were added later, regardless of their place in the file. Otherwise
    the order of the file applies. A tenant that was removed from the file no longer waits. A waiting tenant that the
    cursor has lost is still new, since it has no partition.
    """
    new = dict.fromkeys(tenant_id for tenant_id in configured if tenant_id not in partitions)
    in_order = list(dict.fromkeys([*(tenant_id for tenant_id in waiting if tenant_id in new), *new]))
    return FirstSyncs(tuple(in_order[:MAX_SYNCS_PER_TICK]), tuple(in_order[MAX_SYNCS_PER_TICK:]))
