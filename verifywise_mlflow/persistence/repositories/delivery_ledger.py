"""The ledger of deliveries: what we last wrote to a target, by version and item.

A write is recorded twice: the intended content before the request is sent, and the written content after the request
succeeded. If the process dies in between, the row keeps the intended content, and the next delivery finds out whether
the request arrived.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.persistence.row_mapping import Key, is_one_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import delivery_ledger

Content = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Subject:
    """A version and the destination of its delivery."""

    target: str
    destination: str
    """A digest of the address and of our organization there."""
    model_name: str
    version_number: int
    incarnation: int


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """The recorded state of one item of a version at the target: its entry, a risk or a file."""

    item: str
    remote_id: str | None = None
    """None if the item was never created at the target, or if it is unknown whether the item was created."""
    written: Content = field(default_factory=dict)
    """What the last successful write contained."""
    intended: Content | None = None
    """The content of a request with an unknown outcome; None if there is no such request."""
    remark: str | None = None
    """Why the item is no longer written, for example because a person deleted it at the target."""


def rows_of(
    session: TenantSession, target: str, destination: str, keys: Collection[Key]
) -> dict[tuple[str, int, int], dict[str, LedgerRow]]:
    """Return the rows of versions, by model name, number and incarnation, and then by item."""
    ledger = delivery_ledger.c
    identity = (ledger.model_name, ledger.version_number, ledger.incarnation)
    columns = (ledger.item, ledger.remote_id, ledger.written, ledger.intended, ledger.remark)
    rows = session.execute(
        select(*identity, *columns).where(
            ledger.tenant_id == session.tenant_id,
            ledger.target == target,
            ledger.destination == destination,
            is_one_of(delivery_ledger, keys),
        )
    )
    by_version: dict[tuple[str, int, int], dict[str, LedgerRow]] = {}
    for name, number, incarnation, item, remote_id, written, intended, remark in rows:
        by_item = by_version.setdefault((name, number, incarnation), {})
        by_item[item] = LedgerRow(item, remote_id, written or {}, intended, remark)
    return by_version


def intend(session: TenantSession, subject: Subject, item: str, content: Content, now: datetime) -> None:
    """Record the content that is about to be written. Commit this before the request is sent."""
    _upsert(session, subject, item, {"intended": dict(content), "intended_at": now})


def confirm(
    session: TenantSession,
    subject: Subject,
    item: str,
    content: Content,
    now: datetime,
    *,
    remote_id: str | None,
    remark: str | None = None,
) -> None:
    """Record what was written. Without ``remote_id``, the stored one stays."""
    values = {"written": dict(content), "written_at": now, "intended": None, "remark": remark}
    _upsert(session, subject, item, values | ({} if remote_id is None else {"remote_id": remote_id}))


def _upsert(session: TenantSession, subject: Subject, item: str, values: Mapping[str, object]) -> None:
    key = {
        "tenant_id": session.tenant_id,
        "target": subject.target,
        "destination": subject.destination,
        "model_name": subject.model_name,
        "version_number": subject.version_number,
        "incarnation": subject.incarnation,
        "item": item,
    }
    statement = insert(delivery_ledger).values(**key, **values)
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=dict(values)))
