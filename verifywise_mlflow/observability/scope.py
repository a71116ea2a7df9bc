"""The scope of the current code: the tenant, the sync, the stage and its span, for logs and spans.

It is a context variable, so that concurrent syncs of one process do not mix. A thread has the scope of the code that
started it only if the thread runs in a copy of that code's context:
``Thread(target=copy_context().run, args=(work,))``.

Dagster logs about a run between its stages, too. So the scope of a run's sync is also stored by the run's ID.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


@dataclass(frozen=True, slots=True)
class SyncScope:
    """A sync and its running stage."""

    tenant_id: str
    sync_id: str
    stage: str | None = None
    span: Span | None = None
    """The parent of further spans; None if traces are off."""
    tracer: Tracer | None = None


current_scope: ContextVar[SyncScope | None] = ContextVar("verifywise_mlflow.sync", default=None)
"""The current scope; None outside of a sync."""

_newest_run: tuple[str, SyncScope] | None = None
"""The last run and its scope: a process executes one run. Both stay after the sync, since Dagster reports the run's end
later."""


def remember_run(dagster_run_id: str, scope: SyncScope) -> None:
    """Store the scope of the sync that a Dagster run has started."""
    global _newest_run
    _newest_run = (dagster_run_id, scope)


def scope_of_run(dagster_run_id: str) -> SyncScope | None:
    """Return the scope of the sync of a run of this process; None before the sync starts."""
    return _newest_run[1] if _newest_run and _newest_run[0] == dagster_run_id else None
