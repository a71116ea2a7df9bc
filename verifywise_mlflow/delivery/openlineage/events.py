"""Makes the OpenLineage events about model versions. Pure.

For a version that a training run produced, the events are about that run: the run's data sets are the inputs, and the
version is the output. If no run of a version could be read, the event is about the version as a data set. The
evaluation of a version is also a run: the version is its input, with the verdicts as data quality assertions, and the
sync is its parent.

Each training run is a separate job, and so is the evaluation of each version. Receivers show the inputs and outputs of
a job's last run, or of all runs of the job together. With one job per experiment, a version would lose its data sets or
show the data sets of other versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from openlineage.client.event_v2 import (
    DatasetEvent,
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    StaticDataset,
)
from openlineage.client.facet_v2 import (
    DatasetFacet,
    InputDatasetFacet,
    data_quality_assertions_dataset,
    dataset_version_dataset,
    documentation_dataset,
    job_type_job,
    lifecycle_state_change_dataset,
    ownership_dataset,
    parent_run,
    processing_engine_run,
)

from verifywise_mlflow import __version__
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.common.untrusted_text import truncate
from verifywise_mlflow.delivery.openlineage.facets import GovernanceDatasetFacet, MlflowDatasetFacet, MlflowRunFacet
from verifywise_mlflow.delivery.openlineage.naming import (
    EVALUATION_NAMESPACE,
    data_set_name,
    run_uuid,
    version_name,
)
from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow.persistence.queries.lineage_states import LineageState

PRODUCER: Final = f"tag:verifywise.ai,2026:mlflow/{__version__}"
MAX_DESCRIPTION_CHARS: Final = 4_000
_END_STATES: Final = {"FINISHED": RunState.COMPLETE, "FAILED": RunState.FAIL, "KILLED": RunState.ABORT}
_UNDECIDED: Final = frozenset(("not applicable", "not read"))
"""The verdicts that state neither success nor failure."""

LineageEvent = RunEvent | DatasetEvent


@dataclass(frozen=True, slots=True)
class Naming:
    """The prefixes of the names of a tenant's jobs and models."""

    tenant_id: str
    namespace: str
    """The namespace of the tenant's models and training jobs."""


def lineage_events(state: LineageState, sync_id: str, naming: Naming, include_verdicts: bool) -> Iterator[LineageEvent]:
    """Yield the events about a version: the events about its origin, and the events about its evaluation by a sync."""
    yield from _origin_events(state, naming)
    yield from _evaluation_events(state, sync_id, naming, include_verdicts)


def _origin_events(state: LineageState, naming: Naming) -> Iterator[LineageEvent]:
    record, namespace = state.delivery.record, naming.namespace
    name = version_name(*state.delivery.key, namespace)
    facets = _version_facets(state, naming.tenant_id)
    if record.source_run_id is None or record.training_status is None:
        dataset = StaticDataset(name.namespace, name.name, facets=facets)
        yield DatasetEvent(eventTime=_time(state.evaluated_at), producer=PRODUCER, dataset=dataset)
        return
    job = Job(
        namespace,
        f"{record.experiment_name or record.experiment_id or 'experiment'}/{record.source_run_id}",
        facets={"jobType": job_type_job.JobTypeJobFacet("BATCH", "MLFLOW", "TRAINING", producer=PRODUCER)},
    )
    run = Run(run_uuid(record.source_run_id), facets={"verifywise_mlflowRun": _run_facet(record, record.source_run_id)})
    inputs = [_input(reference, namespace) for reference in _data_sets(record)]
    ended_at = record.training_ended_at or record.created_at or state.evaluated_at
    if record.training_started_at:
        yield RunEvent(
            eventType=RunState.START,
            eventTime=_time(record.training_started_at),
            producer=PRODUCER,
            run=run,
            job=job,
            inputs=inputs,
        )
    yield RunEvent(
        eventType=_END_STATES.get(record.training_status, RunState.RUNNING),
        eventTime=_time(ended_at),
        producer=PRODUCER,
        run=run,
        job=job,
        inputs=inputs,
        outputs=[OutputDataset(name.namespace, name.name, facets=facets)],
    )


def _evaluation_events(
    state: LineageState, sync_id: str, naming: Naming, include_verdicts: bool
) -> Iterator[LineageEvent]:
    (model_name, version_number), tenant_id = state.delivery.key, naming.tenant_id
    name = version_name(model_name, version_number, naming.namespace)
    job = Job(
        EVALUATION_NAMESPACE,
        f"{tenant_id}.evaluate/{model_name}/{version_number}",
        facets={"jobType": job_type_job.JobTypeJobFacet("BATCH", "VERIFYWISE", "EVALUATION", producer=PRODUCER)},
    )
    engine = processing_engine_run.ProcessingEngineRunFacet(
        version=__version__, name="verifywise-mlflow", producer=PRODUCER
    )
    sync = parent_run.ParentRunFacet(
        run=parent_run.Run(run_uuid(sync_id)),
        job=parent_run.Job(EVALUATION_NAMESPACE, f"{tenant_id}.sync"),
        producer=PRODUCER,
    )
    run = Run(run_uuid(f"{sync_id} {name.name}"), facets={"processing_engine": engine, "parent": sync})
    facets = _version_facets(state, tenant_id)
    input_facets: dict[str, InputDatasetFacet] = (
        {"dataQualityAssertions": _assertions(state)} if include_verdicts else {}
    )
    inputs = [InputDataset(name.namespace, name.name, facets=facets, inputFacets=input_facets)]
    for event_type in (RunState.START, RunState.COMPLETE):
        yield RunEvent(
            eventType=event_type,
            eventTime=_time(state.evaluated_at),
            producer=PRODUCER,
            run=run,
            job=job,
            inputs=inputs,
        )


def _version_facets(state: LineageState, tenant_id: str) -> dict[str, DatasetFacet]:
    delivery, record = state.delivery, state.delivery.record
    gaps = [verdict for verdict in delivery.verdicts if verdict.open_since is not None]
    facets: dict[str, DatasetFacet] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(str(record.version_number), producer=PRODUCER),
        "verifywise_governance": GovernanceDatasetFacet(
            tenant=tenant_id,
            badge=delivery.badge,
            openGaps=len(gaps),
            waivedGaps=sum(1 for verdict in gaps if verdict.waiver),
            recordHash=state.record_hash,
            recordRevision=state.record_revision,
            policyDigest=state.policy_digest,
            evaluatedAt=_time(state.evaluated_at),
            syncId=state.sync_id,
            lifecycleStage=record.lifecycle_stage,
            producer=PRODUCER,
        ),
    }
    if record.description:
        facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(
            truncate(record.description, MAX_DESCRIPTION_CHARS), producer=PRODUCER
        )
    if record.owner:
        owner = ownership_dataset.Owner(record.owner, "OWNER")
        facets["ownership"] = ownership_dataset.OwnershipDatasetFacet([owner], producer=PRODUCER)
    if delivery.deleted_at:
        facets["lifecycleStateChange"] = lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(
            lifecycle_state_change_dataset.LifecycleStateChange.DROP, producer=PRODUCER
        )
    return facets


def _input(reference: Mapping[str, Json], namespace: str) -> InputDataset:
    name = data_set_name(reference, namespace)
    label, digest, source_type, context = (
        _text(reference.get(key)) for key in ("name", "digest", "source_type", "context")
    )
    facets: dict[str, DatasetFacet] = {
        "verifywise_mlflowDataset": MlflowDatasetFacet(label, digest, source_type, context, producer=PRODUCER)
    }
    if digest:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(digest, producer=PRODUCER)
    return InputDataset(name.namespace, name.name, facets=facets)


def _run_facet(record: CanonicalRecord, run_id: str) -> MlflowRunFacet:
    return MlflowRunFacet(
        runId=run_id,
        experimentId=record.experiment_id,
        experimentName=record.experiment_name,
        status=record.training_status,
        codeCommit=record.code_commit,
        entrypoint=record.training_entrypoint,
        producer=PRODUCER,
    )


def _assertions(state: LineageState) -> data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet:
    return data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
        [
            data_quality_assertions_dataset.Assertion(verdict.rule_id, success=verdict.verdict == "pass")
            for verdict in state.delivery.verdicts
            if verdict.verdict not in _UNDECIDED
        ],
        producer=PRODUCER,
    )


def _data_sets(record: CanonicalRecord) -> Iterator[Mapping[str, Json]]:
    references = record.dataset_reference
    if isinstance(references, Sequence) and not isinstance(references, str):
        yield from (reference for reference in references if isinstance(reference, Mapping))


def _text(value: Json) -> str | None:
    return None if value is None else str(value)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
