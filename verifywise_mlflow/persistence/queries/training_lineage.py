"""The inputs of versions (data sets, training runs and files), and the data sets that several models use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, ColumnElement, and_, case, cast, column, func, select, true, type_coerce
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.queries.agents import is_agent_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import agents, canonical_records

MAX_SHARED_DATASETS: Final = 1_000
MAX_MODELS_LISTED: Final = 50
"""The maximum number of models of a shared data set that are listed by name. All its models are counted."""


@dataclass(frozen=True, slots=True)
class DatasetKey:
    """The identity of a data set within a tenant: its digest, or its name and source if MLflow has no digest."""

    digest: str | None
    name: str | None = None
    source: str | None = None

    @classmethod
    def of(cls, reference: Mapping[str, object]) -> DatasetKey:
        """Return the key of an entry of ``dataset_reference``."""
        digest, name, source = (str(reference[key]) if reference.get(key) else None for key in _KEY)
        return cls(digest) if digest else cls(None, name, source)


_KEY: Final = ("digest", "name", "source")


@dataclass(frozen=True, slots=True)
class VersionLineage:
    """One version with its inputs."""

    model_name: str
    version_number: int
    lifecycle_stage: str | None
    aliases: Sequence[str]
    run_id: str | None
    experiment_name: str | None
    datasets: Sequence[Mapping[str, object]]
    """The entries of ``dataset_reference``."""
    prompts: Sequence[Mapping[str, object]]
    """The entries of ``linked_prompts``."""
    agent_id: str | None
    """The agent that the version was registered from."""
    agent_name: str | None
    agent_prompts: Sequence[Mapping[str, object]]
    """The entries of the agent's ``linked_prompts``."""
    location: str | None
    """Where the files are; None if no manifest was read."""
    files_digest: str | None
    file_count: int | None
    total_bytes: int | None


_LISTS: Final = ("aliases", "datasets", "prompts", "agent_prompts")
"""Fields that are null in the table if a version has no entries."""


@dataclass(frozen=True, slots=True)
class SharedDataset:
    """A data set that versions of several models were trained or evaluated with."""

    key: DatasetKey
    name: str | None
    """The first of the data set's names in alphabetical order."""
    models: Sequence[str]
    """Up to ``MAX_MODELS_LISTED`` names, sorted."""
    model_count: int
    version_count: int


def version_lineages(session: TenantSession, model: str | None, limit: int) -> list[VersionLineage]:
    """Return the lineage of living versions.

    Versions in production come first, then versions with an alias, then the newest versions.
    """
    records = canonical_records.c
    manifest = records.artifact_manifest
    query = (
        select(
            *(records.model_name, records.version_number, records.lifecycle_stage, records.aliases),
            *(records.source_run_id, records.experiment_name, records.dataset_reference, records.linked_prompts),
            *(agents.c.model_id, agents.c.name, agents.c.linked_prompts),
            *(type_coerce(manifest[name].astext, Text) for name in ("location", "digest")),
            *(cast(manifest[name].astext, BigInteger) for name in ("file_count", "total_bytes")),
        )
        .select_from(canonical_records.outerjoin(agents, is_agent_of(canonical_records)))
        .where(*_living(session, model))
        .order_by(
            case((records.lifecycle_stage == "production", 0), else_=1),
            case((func.coalesce(func.jsonb_array_length(records.aliases), 0) > 0, 0), else_=1),
            records.created_at.desc().nulls_last(),
            records.model_name,
            records.version_number.desc(),
        )
        .limit(limit)
    )
    names = [field.name for field in fields(VersionLineage)]
    versions = []
    for row in session.execute(query):
        values: dict[str, Any] = dict(zip(names, row, strict=True))
        values |= {name: () for name in _LISTS if values[name] is None}
        versions.append(VersionLineage(**values))
    return versions


def count_versions(session: TenantSession, model: str | None) -> int:
    """Return the number of living versions."""
    return session.scalar(select(func.count()).where(*_living(session, model))) or 0


def shared_datasets(session: TenantSession, model: str | None) -> list[SharedDataset]:
    """Return up to ``MAX_SHARED_DATASETS`` data sets that several models share, the most shared first.

    With ``model``, only data sets that this model uses are returned.
    """
    records = canonical_records.c
    entries = (
        func.jsonb_array_elements(records.dataset_reference)
        .table_valued(column("entry", JSONB), name="entries")
        .render_derived()
    )
    digest, name, source = (func.nullif(entries.c.entry[key].astext, "") for key in _KEY)
    used = (
        select(
            *(records.model_name, records.version_number, digest.label("digest"), name.label("any_name")),
            case((digest.is_(None), name)).label("name"),
            case((digest.is_(None), source)).label("source"),
        )
        .select_from(canonical_records.join(entries, true()))
        .where(*_living(session, None), func.coalesce(digest, name, source).is_not(None))
        .subquery("used")
    )
    model_count = func.count(used.c.model_name.distinct())
    models = func.array_agg(aggregate_order_by(used.c.model_name.distinct(), used.c.model_name))
    is_used_here = [] if model is None else [func.bool_or(used.c.model_name == model)]
    query = (
        select(
            *(type_coerce(used.c[key], Text) for key in _KEY),
            type_coerce(func.min(used.c.any_name), Text),
            type_coerce(models[1:MAX_MODELS_LISTED], ARRAY(Text)),
            model_count,
            func.count(func.row(used.c.model_name, used.c.version_number).distinct()),
        )
        .group_by(*(used.c[key] for key in _KEY))
        .having(and_(model_count > 1, *is_used_here))
        .order_by(model_count.desc(), func.min(used.c.any_name), used.c.digest)
        .limit(MAX_SHARED_DATASETS)
    )
    return [SharedDataset(DatasetKey(*row[:3]), *row[3:]) for row in session.execute(query)]


def _living(session: TenantSession, model: str | None) -> list[ColumnElement[bool]]:
    records = canonical_records.c
    conditions = [records.tenant_id == session.tenant_id, records.deleted_at.is_(None)]
    return conditions if model is None else [*conditions, records.model_name == model]
