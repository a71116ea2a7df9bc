"""Columns and an index that several tables share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, text

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.schema import revisions

# SQLAlchemy types a column by what it holds, and these functions make columns of several kinds: hence Any here.


def key_column(name: str) -> Column[Any]:
    """A text column of the primary key."""
    return Column(name, Text, primary_key=True)


def version_key_columns() -> tuple[Column[Any], ...]:
    """The primary key of a table with one row per model version."""
    return (
        key_column("tenant_id"),
        key_column("model_name"),
        Column("version_number", Integer, primary_key=True, autoincrement=False),
    )


def version_columns() -> tuple[Column[Any], ...]:
    """The model version of a row, in a table with several rows per version."""
    return (
        Column("tenant_id", Text, nullable=False),
        Column("model_name", Text, nullable=False),
        Column("version_number", Integer, nullable=False),
    )


def identity_column(name: str) -> Column[Any]:
    """A primary key that the database generates."""
    return Column(name, BigInteger, Identity(always=True), primary_key=True)


def time_column(name: str, *, nullable: bool = True) -> Column[Any]:
    """A time, which Postgres stores in UTC to the microsecond."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def incarnation_column() -> Column[Any]:
    """How many objects have had this name and number."""
    return Column("incarnation", Integer, nullable=False, server_default=text("1"))


def redactions_column() -> Column[Any]:
    """What was redacted before the row was written."""
    return Column("redactions", Json, nullable=False, server_default=text("'[]'::jsonb"))


def write_columns() -> tuple[Column[Any], ...]:
    """The columns that describe the last write of a row."""
    return (
        Column("fingerprint", Text, nullable=False),
        Column("revision", BigInteger, nullable=False, server_default=revisions.next_value()),
        time_column("changed_at", nullable=False),
    )


def revision_index(table: str) -> Index:
    """The index by which each sync finds the rows that were written last."""
    return Index(f"{table}_by_revision", "tenant_id", "revision")


def end_columns() -> tuple[Column[Any], ...]:
    """When a state of a history ended, and the sync that ended it."""
    return (time_column("valid_to", nullable=False), Column("ended_by_sync_id", Text, nullable=False))
