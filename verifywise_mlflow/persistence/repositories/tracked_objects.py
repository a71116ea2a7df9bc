"""Training runs and logged models, as last read, and which of these objects are pending.

Versions link to runs and logged models by an ID. Both kinds of objects are read in the same way, so the two tables
share these functions. ``RUNS`` and ``LOGGED_MODELS`` state which column of the versions links to which table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType
from typing import Generic, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Select,
    Table,
    and_,
    case,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy import Text as PlainText

from verifywise_mlflow.artifacts.version_origin import location_key
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.connector.models import LoggedModel, TrainingRun
from verifywise_mlflow.persistence.row_mapping import (
    Key,
    Row,
    columns_of,
    dicts_of,
    is_one_of,
    rows_by_key,
    to_entity,
    upsert,
)
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import logged_models, model_versions, revisions, training_runs

T = TypeVar("T", TrainingRun, LoggedModel)

VERSIONS_WITH_LOGGED_MODELS = model_versions.outerjoin(
    logged_models,
    (logged_models.c.tenant_id == model_versions.c.tenant_id)
    & (logged_models.c.model_id == model_versions.c.logged_model_id),
)

IS_LINKED: ColumnElement[bool] = or_(
    model_versions.c.logged_model_location.is_(None),
    and_(
        model_versions.c.logged_model_location == logged_models.c.location_key,
        logged_models.c.shares_location.is_(False),
    ),
)
"""Whether a version was registered from the logged model that its source names: by ID, or by exactly its location."""

RUN_ID: ColumnElement[str] = case(
    (model_versions.c.run_id.is_not(None), model_versions.c.run_id),
    (model_versions.c.origin_run_id.is_not(None), model_versions.c.origin_run_id),
    (IS_LINKED, logged_models.c.source_run_id),
)
"""The run of a version: its own run, the run of its original, or the run of the logged model it was registered from.

This is not COALESCE: Postgres treats COALESCE as a function that may leak rows, so under row-level security no index
finds the run.
"""


@value_object
class ObjectKind(Generic[T]):
    """A kind of object that versions link to by an id, and its table."""

    table: Table
    id_column: str
    link: ColumnElement[str]
    """The id, over ``VERSIONS_WITH_LOGGED_MODELS``."""
    entity_type: type[T]


RUNS = ObjectKind(training_runs, "run_id", RUN_ID, TrainingRun)
LOGGED_MODELS = ObjectKind(logged_models, "model_id", model_versions.c.logged_model_id, LoggedModel)

_UNFINISHED = ("RUNNING", "SCHEDULED")


@value_object
class PendingRead:
    """An object to read, and the newest revision of the versions that link to the object.

    The read covers this revision.
    """

    object_id: str
    revision: int


class ReadScope(IntEnum):
    """Which of the objects that living versions link to are read. Each scope includes the narrower scopes."""

    CHANGED = 1
    """Objects of new and changed versions, and objects whose last read failed with a transient error."""
    PENDING = 2
    """In addition, objects that were unfinished when they were last read."""
    READABLE = 3
    """In addition, every other object whose last read succeeded."""
    ALL = 4


def is_read_again(kind: ObjectKind[T]) -> ColumnElement[bool]:
    """Return the condition that an object is read again although no version changed.

    The partial index has the same condition.
    """
    # The condition has no parameters, since the planner compares it with the condition of the index.
    name = kind.table.name
    is_unfinished = f"{name}.read_error IS NULL AND {name}.status IN ('RUNNING', 'SCHEDULED')"
    return literal_column(f"({name}.retry OR {is_unfinished})", Boolean)


def pending_reads(
    session: TenantSession, kind: ObjectKind[T], scope: ReadScope, among: Collection[Key] | None = None
) -> list[PendingRead]:
    """Return the objects to read, sorted by id. ``among`` limits them to objects that these versions link to."""
    if among is not None and not among:
        return []
    objects = _linked_objects(session.tenant_id, kind, among).subquery()
    query = select(objects.c.object_id, objects.c.revision).where(objects.c.scope <= scope.value)
    return [PendingRead(object_id, revision) for object_id, revision in session.execute(query.order_by("object_id"))]


def exceeds(session: TenantSession, kind: ObjectKind[T], limit: int) -> bool:
    """Return whether versions link to more readable objects than `limit`."""
    objects = _linked_objects(session.tenant_id, kind).subquery()
    readable = select(func.count()).where(objects.c.scope <= ReadScope.READABLE.value)
    return (session.scalar(readable) or 0) > limit


def pending_reads_up_to(
    session: TenantSession, kind: ObjectKind[T], limit: int, among: Collection[Key] | None = None
) -> list[PendingRead]:
    """Return the objects of ``READABLE`` or else of ``PENDING`` if they are at most ``limit``, or else of ``CHANGED``.

    ``among`` are the versions to look at. The caller gives them only for a tenant with more than ``limit`` readable
    objects, so ``READABLE`` is never chosen then.
    """
    if among is not None and not among:
        return []
    # One query counts and selects: fetching all IDs of a scope that exceeds the limit took most of the time.
    objects = _linked_objects(session.tenant_id, kind, among).cte("objects")
    fits_limit = {scope: func.count().filter(objects.c.scope <= scope.value) <= limit for scope in ReadScope}
    if among is not None:
        fits_limit[ReadScope.READABLE] = false()
    widest = select(
        case(
            (fits_limit[ReadScope.READABLE], ReadScope.READABLE.value),
            (fits_limit[ReadScope.PENDING], ReadScope.PENDING.value),
            else_=ReadScope.CHANGED.value,
        )
    ).select_from(objects)
    query = select(objects.c.object_id, objects.c.revision).where(objects.c.scope <= widest.scalar_subquery())
    return [PendingRead(object_id, revision) for object_id, revision in session.execute(query.order_by("object_id"))]


def _linked_objects(
    tenant_id: str, kind: ObjectKind[T], among: Collection[Key] | None = None
) -> Select[tuple[str, int, int]]:
    """Return the objects that living versions link to, each with the narrowest scope that includes it."""
    versions, table = model_versions, kind.table
    is_looked_at = true() if among is None else is_one_of(versions, among)
    newest = (
        select(kind.link.label("object_id"), func.max(versions.c.revision).label("revision"))
        .select_from(VERSIONS_WITH_LOGGED_MODELS)
        .where(versions.c.tenant_id == tenant_id, versions.c.deleted_at.is_(None), kind.link.is_not(None), is_looked_at)
        .group_by(kind.link)
        .subquery()
    )
    is_same_object = (table.c.tenant_id == tenant_id) & (table.c[kind.id_column] == newest.c.object_id)
    is_changed = or_(table.c.read_for_revision.is_(None), table.c.read_for_revision < newest.c.revision, table.c.retry)
    is_readable = table.c.read_error.is_(None)
    scope = case(
        (is_changed, ReadScope.CHANGED.value),
        (and_(is_readable, table.c.status.in_(_UNFINISHED)), ReadScope.PENDING.value),
        (is_readable, ReadScope.READABLE.value),
        else_=ReadScope.ALL.value,
    )
    # An object may have been read for a newer version that is not among the versions to look at.
    revision = func.greatest(newest.c.revision, table.c.read_for_revision).label("revision")
    return select(newest.c.object_id, revision, scope.label("scope")).select_from(
        newest.outerjoin(table, is_same_object)
    )


@value_object
class ReadResult(Generic[T]):
    """The result of reading one object. ``entity`` is None if the read failed; ``read_error`` states why."""

    object_id: str
    revision: int
    entity: T | None
    fingerprint: str
    """The fingerprint of the object, or of the error."""
    read_error: str | None = None
    retry: bool = False
    deferred: bool = False
    """Whether a request for this single object was postponed, because too many objects are missing."""
    experiment_name: str | None = None


@value_object
class StoredRead:
    """The stored state of an object from its last read."""

    fingerprint: str
    read_for_revision: int
    retry: bool
    read_error: str | None
    deferred: bool


def stored_reads(session: TenantSession, kind: ObjectKind[T], ids: Collection[str]) -> dict[str, StoredRead]:
    """Return the stored rows of the given objects."""
    table = kind.table
    rows = session.execute(
        select(
            table.c[kind.id_column],
            table.c.fingerprint,
            table.c.read_for_revision,
            table.c.retry,
            table.c.read_error,
            table.c.deferred,
        ).where(table.c.tenant_id == session.tenant_id, table.c[kind.id_column].in_(ids))
    )
    return {object_id: StoredRead(*columns) for object_id, *columns in rows}


def experiments_of(session: TenantSession, kind: ObjectKind[T], ids: Collection[str]) -> list[str] | None:
    """Return the experiments of at least one given object; None if the experiment of any given object is not stored."""
    table = kind.table
    rows = session.execute(
        select(func.count(), func.array_agg(table.c.experiment_id.distinct())).where(
            table.c.tenant_id == session.tenant_id,
            table.c[kind.id_column].in_(ids),
            table.c.experiment_id.is_not(None),
        )
    )
    count, experiments = rows.one()
    return sorted(experiments) if count == len(set(ids)) else None


def write_read_results(
    session: TenantSession, kind: ObjectKind[T], results: Sequence[ReadResult[T]], now: datetime
) -> None:
    """Upsert the results of reads. If a read failed, the values of the last successful read stay."""
    failed = [result.object_id for result in results if result.entity is None]
    before = rows_by_id(session, kind, failed) if failed else {}
    rows: list[Row] = []
    for result in results:
        entity = result.entity
        experiment_name = result.experiment_name
        if entity is None and result.object_id in before:
            row = before[result.object_id]
            entity = to_entity(kind.entity_type, row)
            experiment_name = _text(row.get("experiment_name"))
        if entity is None:
            entity = kind.entity_type(result.object_id)
        columns = columns_of(entity) | {kind.id_column: result.object_id}
        columns["experiment_name"] = experiment_name
        if isinstance(entity, LoggedModel):
            columns["location_key"] = location_key(entity.artifact_uri) if entity.artifact_uri else None
        else:
            columns["datasets"] = [columns_of(dataset) for dataset in entity.datasets]
        rows.append(
            {
                **columns,
                "tenant_id": session.tenant_id,
                "read_error": result.read_error,
                "retry": result.retry,
                "deferred": result.deferred,
                "read_for_revision": result.revision,
                "fingerprint": result.fingerprint,
                "changed_at": now,
            }
        )
    upsert(session, kind.table, rows)
    if kind.table is logged_models:
        _mark_shared_locations(session, {str(row["location_key"]) for row in rows if row["location_key"]})


def _mark_shared_locations(session: TenantSession, location_keys: Collection[str]) -> None:
    """Mark logged models that share a location, since a path with this location is ambiguous.

    MLflow never creates such models.
    """
    table = logged_models
    is_affected = (table.c.tenant_id == session.tenant_id) & table.c.location_key.in_(location_keys)
    counted = select(table.c.location_key, (func.count() > 1).label("is_shared")).where(is_affected)
    by_location = counted.group_by(table.c.location_key).subquery()
    session.execute(
        table.update()
        .where(
            is_affected,
            table.c.location_key == by_location.c.location_key,
            table.c.shares_location != by_location.c.is_shared,
        )
        .values(shares_location=by_location.c.is_shared, revision=revisions.next_value())
    )


def mark_read(session: TenantSession, kind: ObjectKind[T], read: Sequence[PendingRead]) -> None:
    """Record that objects were read and did not change. Their revision stays, so no record is built again from them."""
    table = kind.table
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
        .where(table.c.tenant_id == session.tenant_id, table.c[kind.id_column] == values.c.object_id)
        .values(read_for_revision=values.c.revision)
    )


def rows_by_id(
    session: TenantSession,
    kind: ObjectKind[T],
    ids: Collection[str],
    options: Mapping[str, bool] = MappingProxyType({}),
) -> dict[str, Mapping[str, object]]:
    """Return the rows of the given objects. ``options`` are the execution options of the query."""
    rows = rows_by_key(session, kind.table, {kind.id_column: list(ids)}, options=options)
    return {str(row[kind.id_column]): row for row in dicts_of(rows)}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
