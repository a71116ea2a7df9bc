"""The tag-hygiene report of a tenant, from our store alone, and as a frame for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping, default_mapping
from verifywise_mlflow.normalizer.tag_hygiene import KeyUse, TagHygiene, assess_tags, fields_with_normal_forms
from verifywise_mlflow.persistence.queries.tag_usage import MOST_DISTINCT, key_uses, value_uses
from verifywise_mlflow.persistence.repositories.config_versions import adopted
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant

if TYPE_CHECKING:
    import pandas as pd

Row: TypeAlias = dict[str, str | int | None]

COLUMNS = ("problem", "where", "key", "value", "field", "probably", "uses", "example_model", "example_version")


def tag_hygiene(store: Store, tenant: Tenant) -> TagHygiene:
    """Return what could be mended in the tags of a tenant's living models, versions, runs and logged models."""
    return hygiene_with_mapping(store, tenant.tenant_id, default_mapping().extended_by(tenant.mapping))


def current_mapping(store: Store, tenant_id: str) -> TagMapping | None:
    """Return the mapping that the tenant's records were last built with; None, if none ever were."""
    with store.begin(tenant_id) as session:
        found = adopted(session, "mapping")
    return TagMapping.model_validate(found.document["mapping"]) if found else None


def hygiene_with_mapping(store: Store, tenant_id: str, mapping: TagMapping) -> TagHygiene:
    """Return the same as under a mapping."""
    words = mapping_index(mapping)
    with store.begin(tenant_id) as session:
        keys = key_uses(session)
        asked = fields_with_normal_forms({use.key for use in keys}, words)
        values = value_uses(session, asked)
    is_cut = max(len(keys), len(values)) > MOST_DISTINCT
    return assess_tags(keys[:MOST_DISTINCT], values[:MOST_DISTINCT], mapping, words, is_cut=is_cut)


def to_dataframe(report: TagHygiene) -> pd.DataFrame:
    """Return the report as a frame: a row a problem, the columns of ``COLUMNS``."""
    import pandas as pd  # half a second, in each run of Dagster, for whom no frame is made

    return pd.DataFrame(problem_rows(report), columns=list(COLUMNS))


def problem_rows(report: TagHygiene) -> list[Row]:
    """Return the report as rows with the names of ``COLUMNS``: misspelt keys, unknown values, unmapped keys."""
    return [
        *(
            _row("misspelt key", unknown.use, probably=unknown.probably, field=unknown.field)
            for unknown in report.misspelt
        ),
        *(
            _row("unknown value", unknown.found.use, value=unknown.found.value, field=unknown.field)
            for unknown in report.unknown_values
        ),
        *(_row("unmapped key", unknown.use) for unknown in report.unmapped),
    ]


def _row(problem: str, use: KeyUse, **other: str | None) -> Row:
    model, version = use.example
    return {
        **dict.fromkeys(COLUMNS),
        "problem": problem,
        "where": use.source,
        "key": use.key,
        "uses": use.uses,
        "example_model": model,
        "example_version": version,
        **other,
    }
