"""Columns and an index that several tables share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, text

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.schema import revisions

# `doc` describes a column of a stage's table; Dagster shows it.
# SQLAlchemy types a column by the type of its values, and these functions make columns of several types: hence Any.


def key_column(name: str, *, doc: str | None = None) -> Column[Any]:
    """A text column of the primary key."""
    return Column(name, Text, primary_key=True, doc=doc)


def version_key_columns() -> tuple[Column[Any], ...]:
    """The columns of a primary key that name a model version."""
    return (
        key_column("tenant_id", doc="The tenant's name in tenants.yaml."),
        key_column("model_name", doc="The name of the registered model in MLflow."),
        Column("version_number", Integer, primary_key=True, autoincrement=False, doc="The version's number in MLflow."),
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


def time_column(name: str, *, nullable: bool = True, doc: str | None = None) -> Column[Any]:
    """A time, which Postgres stores in UTC to the microsecond."""
    return Column(name, DateTime(timezone=True), nullable=nullable, doc=doc)


def incarnation_column() -> Column[Any]:
    """The place of the object, from 1, among the objects that have had this name and number."""
    return Column(
        "incarnation",
        Integer,
        nullable=False,
        server_default=text("1"),
        doc="Counts from 1 the objects that have had this name and number.",
    )


def redactions_column() -> Column[Any]:
    """What was redacted before the row was written."""
    return Column(
        "redactions",
        Json,
        nullable=False,
        server_default=text("'[]'::jsonb"),
        doc="What was redacted before the row was stored.",
    )


def write_columns() -> tuple[Column[Any], ...]:
    """The columns that describe the last write of a row's content."""
    return (
        Column("fingerprint", Text, nullable=False, doc="SHA-256 of the content, by which a sync finds a change."),
        Column(
            "revision",
            BigInteger,
            nullable=False,
            server_default=revisions.next_value(),
            doc="A number from a sequence, new with each write of the content. Later stages process newer revisions.",
        ),
        time_column("changed_at", nullable=False, doc="When the content was last written, UTC."),
    )


def revision_index(table: str) -> Index:
    """The index by which a sync finds the rows with the newest revisions."""
    return Index(f"{table}_by_revision", "tenant_id", "revision")


def end_columns() -> tuple[Column[Any], ...]:
    """When a state of a history ended, and the sync that ended it.

    The time when the state began is ``valid_from`` in the views of states. In the tables, that time is ``changed_at``;
    for verdicts, ``evaluated_at``.
    """
    return (time_column("valid_to", nullable=False), Column("ended_by_sync_id", Text, nullable=False))
