"""The evaluations of logged models: which evaluations are due to be read, and the results.

The results are columns of the table of logged models. So a changed evaluation gives its logged model a new revision,
and the records of the model's versions become pending.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import any_, case, cast, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text as PlainText

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.connector.models import DatasetInput
from verifywise_mlflow.persistence.repositories.tracked_objects import IS_LINKED, VERSIONS_WITH_LOGGED_MODELS
from verifywise_mlflow.persistence.row_mapping import rows_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, logged_models, model_versions, revisions

# A version without a record is not known to be generative. MLflow itself sets the following signs of a generative
# version: the type of an agent, the prompts that an application has used, and the metrics of an evaluation, such as
# `correct/mean`.
_LOOKS_GENERATIVE: Final = text(
    "(lower(logged_models.model_type) = 'agent' OR jsonb_exists(logged_models.tags, 'mlflow.linkedPrompts') "
    "OR jsonb_path_exists(logged_models.metrics, '$.keyvalue().key ? (@ like_regex \"/(mean|median|min|max)$\")'))"
)


@dataclass(frozen=True, slots=True)
class DueEvaluation:
    """A logged model whose assessments are to be read."""

    model_id: str
    experiment_id: str
    basis: str
    """The logged model's fingerprint."""
    datasets: tuple[DatasetInput, ...]
    """The data sets that the logged model's metrics name."""
    stored: Mapping[str, Json] | None
    """The evaluation as it was last read."""
    stored_error: str | None


def due_evaluations(
    session: TenantSession, *, among: Collection[str] | None, is_reconcile: bool
) -> list[DueEvaluation]:
    """Return the logged models of living generative versions whose assessments are to be read, sorted by ID.

    Args:
        session: the tenant's transaction.
        among: the logged models to look at; None for all.
        is_reconcile: whether to return all these logged models. Otherwise only logged models are returned that have
            changed since they were read, or whose assessments were not read.
    """
    models, records, versions = logged_models, canonical_records, model_versions
    joined = VERSIONS_WITH_LOGGED_MODELS.outerjoin(
        records,
        (records.c.tenant_id == versions.c.tenant_id)
        & (records.c.model_name == versions.c.model_name)
        & (records.c.version_number == versions.c.version_number),
    )
    query = (
        select(
            models.c.model_id,
            models.c.experiment_id,
            models.c.fingerprint,
            models.c.datasets,
            models.c.generative_evaluation,
            models.c.evaluation_error,
        )
        .distinct(models.c.model_id)
        .select_from(joined)
        .where(
            versions.c.tenant_id == session.tenant_id,
            versions.c.deleted_at.is_(None),
            IS_LINKED,
            models.c.experiment_id.is_not(None),
            or_(
                records.c.model_kind == "generative",
                models.c.generative_evaluation.is_not(None),
                records.c.model_name.is_(None) & _LOOKS_GENERATIVE,
            ),
        )
        .order_by(models.c.model_id)
    )
    if among is not None:
        query = query.where(models.c.model_id == any_(cast(list(among), ARRAY(PlainText))))
    if not is_reconcile:
        query = query.where(models.c.evaluation_basis.is_distinct_from(models.c.fingerprint))
    return [
        DueEvaluation(
            model_id,
            experiment_id,
            basis,
            tuple(DatasetInput(**dataset) for dataset in datasets),
            stored,
            error,
        )
        for model_id, experiment_id, basis, datasets, stored, error in session.execute(query)
    ]


def write_evaluations(
    session: TenantSession,
    read: Sequence[tuple[DueEvaluation, Mapping[str, Json] | None]],
    error: str | None,
    now: datetime,
) -> int:
    """Write the evaluations of some logged models, and return how many differ from the stored ones.

    Args:
        session: the tenant's transaction.
        read: the logged models, each with its evaluation.
        error: why the assessments could not be read; None if they were read.
        now: when the assessments were read.
    """
    if not read:
        return 0
    models = logged_models
    values = rows_of(
        models,
        {
            "model_id": [due.model_id for due, _ in read],
            "generative_evaluation": [evaluation for _, evaluation in read],
            # After an error, the next sync that reads the logged model tries again.
            "evaluation_basis": [None if error else due.basis for due, _ in read],
        },
    )
    is_changed = or_(
        models.c.generative_evaluation.is_distinct_from(values.c.generative_evaluation),
        models.c.evaluation_error.is_distinct_from(error),
    )
    session.execute(
        update(models)
        .where(models.c.tenant_id == session.tenant_id, models.c.model_id == values.c.model_id)
        .values(
            generative_evaluation=values.c.generative_evaluation,
            evaluation_error=error,
            evaluation_basis=values.c.evaluation_basis,
            revision=case((is_changed, revisions.next_value()), else_=models.c.revision),
            changed_at=case((is_changed, now), else_=models.c.changed_at),
        )
    )
    return sum(evaluation != due.stored or error != due.stored_error for due, evaluation in read)
