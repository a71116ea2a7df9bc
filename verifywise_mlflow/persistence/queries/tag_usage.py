"""How a tenant's living objects are tagged. The database counts the tags, and returns distinct keys and values only."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from sqlalchemy import ColumnElement, Table, Text, and_, case, cast, func, literal, select, union_all
from sqlalchemy.sql.selectable import Subquery

from verifywise_mlflow.normalizer.origin import SourceKind
from verifywise_mlflow.normalizer.tag_hygiene import KeyUse, ValueUse
from verifywise_mlflow.persistence.pg_text_codec import escape, unescape
from verifywise_mlflow.persistence.repositories.tracked_objects import IS_LINKED, RUN_ID, VERSIONS_WITH_LOGGED_MODELS
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import logged_models, model_versions, registered_models, training_runs

MAX_DISTINCT: Final = 10_000
"""The maximum number of keys, and of values, that are counted, most used first. A server may have any number of keys
and values."""

_MAX_VALUE_LENGTH = 201
"""The number of characters of a value that are returned. It is one more than the maximum length of a recognized value,
so that a longer value is not taken for a recognized one."""

_SEPARATOR = "\x01"
# This is one text that is compared byte by byte: comparing an array in the database's collation takes twice as long.
_OF_VERSION = func.concat(
    cast(model_versions.c.model_name, Text), _SEPARATOR, cast(model_versions.c.version_number, Text), type_=Text()
).collate("C")
_OF_MODEL = func.concat(cast(registered_models.c.model_name, Text), _SEPARATOR, type_=Text()).collate("C")


def key_uses(session: TenantSession) -> list[KeyUse]:
    """Return the tag keys of living objects, each with an example, most used first, without MLflow's own keys.

    At most ``MAX_DISTINCT + 1`` keys are returned.
    """
    parts = []
    for source, objects in _tagged(session.tenant_id):
        key = func.jsonb_object_keys(objects.c.tags).table_valued("key").render_derived()
        parts.append(
            select(literal(source).label("source"), key.c.key, objects.c.example).select_from(
                objects.join(key, literal(True))
            )
        )
    tags = union_all(*parts).subquery()
    query = (
        select(tags.c.source, tags.c.key, func.count(), func.min(tags.c.example))
        .where(tags.c.key.not_ilike("mlflow.%"))
        .group_by(tags.c.source, tags.c.key)
        .order_by(func.count().desc(), tags.c.source, tags.c.key)
        .limit(MAX_DISTINCT + 1)
    )
    return [_use(*row) for row in session.execute(query)]


def value_uses(session: TenantSession, keys: Collection[str]) -> list[ValueUse]:
    """Return the values of the keys, most used first; at most ``MAX_DISTINCT + 1``."""
    if not keys:
        return []
    parts = []
    for source, objects in _tagged(session.tenant_id):
        tag = func.jsonb_each_text(objects.c.tags).table_valued("key", "value").render_derived()
        value = func.left(tag.c.value, _MAX_VALUE_LENGTH).label("value")
        parts.append(
            select(literal(source).label("source"), tag.c.key, value, objects.c.example)
            .select_from(objects.join(tag, literal(True)))
            .where(tag.c.key.in_(map(escape, keys)))
        )
    tags = union_all(*parts).subquery()
    query = (
        select(tags.c.value, tags.c.source, tags.c.key, func.count(), func.min(tags.c.example))
        .group_by(tags.c.source, tags.c.key, tags.c.value)
        .order_by(func.count().desc(), tags.c.source, tags.c.key, tags.c.value)
        .limit(MAX_DISTINCT + 1)
    )
    return [ValueUse(_use(*row), unescape(value)) for value, *row in session.execute(query)]


def _use(source: SourceKind, key: str, uses: int, example: str) -> KeyUse:
    model, _, version = example.rpartition(_SEPARATOR)
    return KeyUse(source, unescape(key), uses, (unescape(model), int(version) if version else None))


def _tagged(tenant_id: str) -> Iterator[tuple[SourceKind, Subquery]]:
    """Yield the tagged living objects of each kind, with a model and version as an example."""
    versions, models = model_versions, registered_models
    living = and_(versions.c.tenant_id == tenant_id, versions.c.deleted_at.is_(None))
    yield "version tag", select(versions.c.tags, _OF_VERSION.label("example")).where(living).subquery()
    living_model = and_(models.c.tenant_id == tenant_id, models.c.deleted_at.is_(None))
    yield "model tag", select(models.c.tags, _OF_MODEL.label("example")).where(living_model).subquery()
    yield "run tag", _linked(tenant_id, training_runs, "run_id", RUN_ID, living)
    yield (
        "logged model",
        _linked(tenant_id, logged_models, "model_id", case((IS_LINKED, versions.c.logged_model_id)), living),
    )


def _linked(
    tenant_id: str, table: Table, id_column: str, link: ColumnElement[str], living: ColumnElement[bool]
) -> Subquery:
    """Return the objects that living versions link to, each object once."""
    linked = (
        select(link.label("object_id"), func.min(_OF_VERSION).label("example"))
        .select_from(VERSIONS_WITH_LOGGED_MODELS)
        .where(living, link.is_not(None))
        .group_by(link)
        .subquery()
    )
    same = and_(table.c.tenant_id == tenant_id, table.c[id_column] == linked.c.object_id)
    return select(table.c.tags, linked.c.example).where(same).subquery()
