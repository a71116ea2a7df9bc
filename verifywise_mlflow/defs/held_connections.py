"""Lets a run keep its connections to Dagster's database: by default it opens a new one for each event, hundreds a sync.

Dagster has such a setting for its webserver alone; a run that writes as often gains as much by it.
"""

from __future__ import annotations

from weakref import WeakSet

import dagster as dg

_NO_LIMIT, _RECYCLED_AFTER_SECONDS, _MORE_AT_ONCE = 0, 300, 10

_holding: WeakSet[dg.DagsterInstance] = WeakSet()
"""Where several runs share a process, each would else leave the connections of those before it open."""


def hold_connections(instance: dg.DagsterInstance) -> None:
    """Let the instance keep its connections for as long as it lives."""
    if instance not in _holding:
        _holding.add(instance)
        instance.optimize_for_webserver(
            statement_timeout=_NO_LIMIT, pool_recycle=_RECYCLED_AFTER_SECONDS, max_overflow=_MORE_AT_ONCE
        )
