"""Training runs and logged models, as last read, and which of them are due to be read.

Both hang on versions by an id, and both are read in the same rhythm, so the two tables share these
functions: ``RUNS`` and ``LOGGED_MODELS`` say which column of the versions leads to which table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Generic, TypeVar

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Select, Table, and_, case, cast, func, or_, select
from sqlalchemy import Text as PlainText

from verifywise_mlflow.connector.models import LoggedModel, TrainingRun
from verifywise_mlflow.persistence.row_mapping import Row, columns_of, to_entity, upsert
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import logged_models, model_versions, training_runs

T = TypeVar("T", TrainingRun, LoggedModel)

VERSIONS_WITH_LOGGED_MODELS = model_versions.outerjoin(
    logged_models,
    (logged_models.c.tenant_id == model_versions.c.tenant_id)
    & (logged_models.c.model_id == model_versions.c.logged_model_id),
)

RUN_ID: ColumnElement[str] = func.coalesce(
    model_versions.c.run_id,
    case((model_versions.c.source.like("models:/m-%"), logged_models.c.source_run_id)),
)
"""The run of a version: its own, or that of the logged model it was registered from."""


@dataclass(frozen=True, slots=True)
class ObjectKind(Generic[T]):
    """A kind of object that versions link to by an id."""

    table: Table
    id_column: str
    link: ColumnElement[str]
    """The id, over ``VERSIONS_WITH_LOGGED_MODELS``."""
    entity_type: type[T]


RUNS = ObjectKind(training_runs, "run_id", RUN_ID, TrainingRun)
LOGGED_MODELS = ObjectKind(logged_models, "model_id", model_versions.c.logged_model_id, LoggedModel)

_UNFINISHED = ("RUNNING", "SCHEDULED")


@dataclass(frozen=True, slots=True)
class PendingRead:
    """An object that is to be read, and up to which revision of its versions that reading counts."""

    object_id: str
    revision: int


class ReadScope(IntEnum):
    """How many of the objects that living versions link to are to be read; each holds those before it."""

    CHANGED = 1
    """Those of new and changed versions, and those whose reading failed in passing."""
    PENDING = 2
    """Those, and those that were under way."""
    READABLE = 3
    """Those, and all that could be read before."""
    ALL = 4


def pending_reads(session: TenantSession, linked: ObjectKind[T], reach: ReadScope) -> list[PendingRead]:
    """Return the ids to read, sorted."""
    objects = _linked_objects(session.tenant_id, linked).subquery()
    query = select(objects.c.object_id, objects.c.revision).where(objects.c.reach <= reach.value)
    return [PendingRead(object_id, revision) for object_id, revision in session.execute(query.order_by("object_id"))]


def pending_reads_up_to(session: TenantSession, linked: ObjectKind[T], limit: int) -> list[PendingRead]:
    """Return the ids of the widest reach that has no more than so many; of the narrowest, however many it has."""
    # In one question: to fetch all ids of a reach, only to see that they are too many, cost more than all the rest.
    objects = _linked_objects(session.tenant_id, linked).cte("objects")
    fits = {reach: func.count().filter(objects.c.reach <= reach.value) <= limit for reach in ReadScope}
    widest = select(
        case(
            (fits[ReadScope.READABLE], ReadScope.READABLE.value),
            (fits[ReadScope.PENDING], ReadScope.PENDING.value),
            else_=ReadScope.CHANGED.value,
        )
    ).select_from(objects)
    query = select(objects.c.object_id, objects.c.revision).where(objects.c.reach <= widest.scalar_subquery())
    return [PendingRead(object_id, revision) for object_id, revision in session.execute(query.order_by("object_id"))]


def _linked_objects(tenant_id: str, linked: ObjectKind[T]) -> Select[tuple[str, int, int]]:
    """Return what living versions link to, each with the narrowest reach that it is in."""
    versions, table = model_versions, linked.table
    newest = (
        select(linked.link.label("object_id"), func.max(versions.c.revision).label("revision"))
        .select_from(VERSIONS_WITH_LOGGED_MODELS)
        .where(versions.c.tenant_id == tenant_id, versions.c.deleted_at.is_(None), linked.link.is_not(None))
        .group_by(linked.link)
        .subquery()
    )
    known = (table.c.tenant_id == tenant_id) & (table.c[linked.id_column] == newest.c.object_id)
    is_changed = or_(table.c.read_for_revision.is_(None), table.c.read_for_revision < newest.c.revision, table.c.retry)
    is_readable = table.c.read_error.is_(None)
    reach = case(
        (is_changed, ReadScope.CHANGED.value),
        (and_(is_readable, table.c.status.in_(_UNFINISHED)), ReadScope.PENDING.value),
        (is_readable, ReadScope.READABLE.value),
        else_=ReadScope.ALL.value,
    )
    return select(newest.c.object_id, newest.c.revision, reach.label("reach")).select_from(
        newest.outerjoin(table, known)
    )


@dataclass(frozen=True, slots=True)
class ReadResult(Generic[T]):
    """What came of reading one object. ``found`` is null where it could not be read, for the reason given."""

    object_id: str
    revision: int
    entity: T | None
    fingerprint: str
    """Of the object, or of the reason."""
    read_error: str | None = None
    retry: bool = False
    deferred: bool = False
    """Whether the object was not requested by itself yet, because too many objects are missing."""
    experiment_name: str | None = None
    """Of runs only."""


@dataclass(frozen=True, slots=True)
class StoredRead:
    """What the store holds of an object that is being read again."""

    fingerprint: str
    read_for_revision: int
    retry: bool
    read_error: str | None
    deferred: bool


def stored_reads(session: TenantSession, linked: ObjectKind[T], ids: Collection[str]) -> dict[str, StoredRead]:
    """Return what the store holds of the given objects."""
    table = linked.table
    rows = session.execute(
        select(
            table.c[linked.id_column],
            table.c.fingerprint,
            table.c.read_for_revision,
            table.c.retry,
            table.c.read_error,
            table.c.deferred,
        ).where(table.c.tenant_id == session.tenant_id, table.c[linked.id_column].in_(ids))
    )
    return {object_id: StoredRead(*rest) for object_id, *rest in rows}


def write_read_results(
    session: TenantSession, linked: ObjectKind[T], readings: Sequence[ReadResult[T]], now: datetime
) -> None:
    """Write what was read. What an unreadable object was before is kept: failing to read is not losing."""
    failed = [reading.object_id for reading in readings if reading.entity is None]
    before = rows_by_id(session, linked, failed) if failed else {}
    rows: list[Row] = []
    for reading in readings:
        found = reading.entity
        experiment_name = reading.experiment_name
        if found is None and reading.object_id in before:
            row = before[reading.object_id]
            found = to_entity(linked.entity_type, row)
            experiment_name = _text(row.get("experiment_name"))
        if found is None:
            found = linked.entity_type(reading.object_id)
        columns = columns_of(found) | {linked.id_column: reading.object_id}
        if linked.table is training_runs:
            columns["experiment_name"] = experiment_name
            columns["datasets"] = [columns_of(dataset) for dataset in getattr(found, "datasets", ())]
        rows.append(
            {
                **columns,
                "tenant_id": session.tenant_id,
                "read_error": reading.read_error,
                "retry": reading.retry,
                "deferred": reading.deferred,
                "read_for_revision": reading.revision,
                "fingerprint": reading.fingerprint,
                "changed_at": now,
            }
        )
    upsert(session, linked.table, rows)


def mark_read(session: TenantSession, linked: ObjectKind[T], read: Sequence[PendingRead]) -> None:
    """Note that objects were read and found unchanged; their revision stays, so nothing is rebuilt from them."""
    table = linked.table
    values = (
        func.unnest(
            cast([item.object_id for item in read], ARRAY(PlainText)),
            cast([item.revision for item in read], ARRAY(BigInteger)),
        )
        .table_valued("object_id", "revision")
        .render_derived()
    )
    session.execute(
        table.update()
        .where(table.c.tenant_id == session.tenant_id, table.c[linked.id_column] == values.c.object_id)
        .values(read_for_revision=values.c.revision)
    )


def rows_by_id(session: TenantSession, linked: ObjectKind[T], ids: Collection[str]) -> dict[str, Mapping[str, object]]:
    """Return the rows of the given objects."""
    table = linked.table
    rows = session.execute(
        select(table).where(table.c.tenant_id == session.tenant_id, table.c[linked.id_column].in_(ids))
    ).mappings()
    return {str(row[linked.id_column]): dict(row) for row in rows}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
