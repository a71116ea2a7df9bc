"""The tag-hygiene report of a tenant: tags to fix and keys to map. Reads our store alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping, default_mapping
from verifywise_mlflow.normalizer.record import MAY_LACK_VALUE, NORMAL_FORMS
from verifywise_mlflow.normalizer.tag_hygiene import KeyUse, TagHygiene, assess_tags, fields_of
from verifywise_mlflow.persistence.queries.tag_usage import MAX_DISTINCT, key_uses, value_uses
from verifywise_mlflow.persistence.repositories.config_versions import config_version
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant

if TYPE_CHECKING:
    import pandas as pd

Row: TypeAlias = dict[str, str | int | None]

COLUMNS = ("problem", "where", "key", "value", "field", "probably", "uses", "example_model", "example_version")


def tag_hygiene(store: Store, tenant: Tenant) -> TagHygiene:
    """Return what to fix in the tags of a tenant's models, versions, runs and logged models, by its mapping."""
    return hygiene_with_mapping(store, tenant.tenant_id, default_mapping().extended_by(tenant.mapping))


def current_mapping(store: Store, tenant_id: str) -> TagMapping | None:
    """Return the mapping that the tenant's records were last built with; None if no record was built."""
    with store.begin(tenant_id) as session:
        mapping = config_version(session, "mapping")
    return TagMapping.model_validate(mapping.document["mapping"]) if mapping else None


def hygiene_with_mapping(store: Store, tenant_id: str, mapping: TagMapping) -> TagHygiene:
    """Return the tag-hygiene report of a tenant by a given mapping."""
    index = mapping_index(mapping)
    with store.begin_snapshot(tenant_id) as session:
        keys = key_uses(session)
        names = {use.key for use in keys}
        forms = value_uses(session, fields_of(names, index, NORMAL_FORMS))
        # These values are limited separately, so that many distinct commits cannot hide an unknown risk category.
        texts = value_uses(session, fields_of(names, index, set(MAY_LACK_VALUE) - set(NORMAL_FORMS)))
    is_cut = max(len(keys), len(forms), len(texts)) > MAX_DISTINCT
    values = [*forms[:MAX_DISTINCT], *texts[:MAX_DISTINCT]]
    return assess_tags(keys[:MAX_DISTINCT], values, mapping, index, is_cut=is_cut)


def to_dataframe(report: TagHygiene) -> pd.DataFrame:
    """Return the report as a pandas frame with a row per problem and the columns ``COLUMNS``."""
    import pandas as pd  # the import takes half a second, and most Dagster runs need no frame

    return pd.DataFrame(problem_rows(report), columns=list(COLUMNS))


def problem_rows(report: TagHygiene) -> list[Row]:
    """Return the report as rows keyed by ``COLUMNS``: misspelled keys, unknown values, no values, unmapped keys."""
    return [
        *(_row("misspelled key", key.use, probably=key.probably, field=key.field) for key in report.misspelled),
        *(
            _row("unknown value", value.found.use, value=value.found.value, field=value.field)
            for value in report.unknown_values
        ),
        *(_row("no value", value.found.use, value=value.found.value, field=value.field) for value in report.no_values),
        *(_row("unmapped key", key.use) for key in report.unmapped),
    ]


def _row(problem: str, use: KeyUse, **columns: str | None) -> Row:
    model, version = use.example
    return {
        **dict.fromkeys(COLUMNS),
        "problem": problem,
        "where": use.source,
        "key": use.key,
        "uses": use.uses,
        "example_model": model,
        "example_version": version,
        **columns,
    }
