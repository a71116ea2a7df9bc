"""A tenant's use of its daily history quota: bytes written on one day, and how many changes the last sync held back."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import case, select
from sqlalchemy.dialects.postgresql import insert

from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import history_usage


def add(session: TenantSession, day: date, written: int, *, held_back: int, now: datetime) -> None:
    """Add to the number of bytes written on a day, which starts at 0, and set how many changes are held back."""
    table = history_usage
    row = {"tenant_id": session.tenant_id, "day": day, "bytes_written": written}
    statement = insert(table).values(row | {"held_back": held_back, "updated_at": now})
    new = statement.excluded
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id"],
            set_={
                "day": new.day,
                "bytes_written": case((table.c.day == new.day, table.c.bytes_written), else_=0) + new.bytes_written,
                "held_back": new.held_back,
                "updated_at": new.updated_at,
            },
            # A sync that changes nothing writes nothing.
            where=(new.bytes_written > 0) | (new.held_back != table.c.held_back),
        )
    )


def held_back(session: TenantSession) -> int:
    """Return how many changes the tenant's last sync held back."""
    table = history_usage
    return session.scalar(select(table.c.held_back).where(table.c.tenant_id == session.tenant_id)) or 0
