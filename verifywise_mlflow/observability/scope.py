"""What the current code works for: the tenant, the sync, the stage and its span. Logs and spans take it from here.

A context variable, so that concurrent syncs of one process do not mix. A thread has the scope of the code that started
it only if it runs in a copy of its context: ``Thread(target=copy_context().run, args=(work,))``.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


@dataclass(frozen=True, slots=True)
class SyncScope:
    """A sync, and the stage of it that is running."""

    tenant_id: str
    sync_id: str
    stage: str | None = None
    span: Span | None = None
    """The span that further spans are children of; None if traces are off."""
    tracer: Tracer | None = None


current_scope: ContextVar[SyncScope | None] = ContextVar("verifywise_mlflow.sync", default=None)
"""None outside of a sync."""
