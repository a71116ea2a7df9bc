"""The six stages as assets, partitioned by tenant.

They differ only in the pipeline stage that they run and in their descriptions, so one function builds all of them from
a table. Data passes through Postgres, not through Dagster: an asset returns counts.
"""

# No `from __future__ import annotations` here: Dagster reads the assets' annotations as types.

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from verifywise_mlflow.common.problems import shorten
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.compliance.score import SCORE_RULE
from verifywise_mlflow.defs.assets.asset_metadata import (
    MetadataEntry,
    materialization_metadata,
    scope_metadata,
    stage_metadata,
)
from verifywise_mlflow.defs.assets.compliance_events import ComplianceEvents
from verifywise_mlflow.defs.assets.data_versions import data_version
from verifywise_mlflow.defs.assets.external_assets import (
    STAGES_READING_MLFLOW,
    asset_events,
    mlflow_server,
    prompts,
)
from verifywise_mlflow.defs.assets.freshness_policy import FRESHNESS_POLICY
from verifywise_mlflow.defs.assets.tag_hygiene import tag_hygiene_table
from verifywise_mlflow.defs.checks.data_quality import stage_check_results, stage_check_specs
from verifywise_mlflow.defs.checks.rule_specs import rule_check_specs, rule_descriptions
from verifywise_mlflow.defs.dagster_compat.event_log import check_results_at_once
from verifywise_mlflow.defs.metadata_limit import within_size_limit
from verifywise_mlflow.defs.metadata_table import cell
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.defs.resources import NoHintsError, TenantSync, UnauthenticatedAcceptanceError
from verifywise_mlflow.defs.run_tags import RETRY_ALL_STEPS, UNCHANGED_TAG
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.errors import DatabaseError, NewerSchemaError
from verifywise_mlflow.persistence.queries.stage_queries import newest_write
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.repositories.checkpoint_receipts import newest_checkpoint
from verifywise_mlflow.pipeline.context import StageReport, first_notes
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.rule_worker_error import RuleWorkerUnavailableError
from verifywise_mlflow.services.tag_hygiene import tag_hygiene
from verifywise_mlflow.tenants.errors import SecretUnavailableError, TenantsFileError

_MAX_READ_FAILURE_ROWS = 50


@dataclass(frozen=True, slots=True)
class _StageAsset:
    stage: Stage
    deps: tuple[Stage, ...]
    kinds: frozenset[str]
    description: str


_FROM_MLFLOW = frozenset({"mlflow", "postgres"})
_FROM_STORE = frozenset({"postgres"})

_STAGE_ASSETS = (
    _StageAsset(
        Stage.REGISTERED_MODELS,
        (),
        _FROM_MLFLOW,
        "The registered models of a tenant's MLflow server: description, tags, aliases and times. A model gets a "
        "tombstone when a complete listing no longer contains it and the server confirms that it does not exist. "
        "How to read it: deleted_at is null for existing models. changed_at is when a sync saw the change, not when it "
        "happened in MLflow.",
    ),
    _StageAsset(
        Stage.MODEL_VERSIONS,
        (Stage.REGISTERED_MODELS,),
        _FROM_MLFLOW,
        "Every version of every model in any status: stage, aliases, source, run, tags and times. "
        "How to read it: stage and aliases are the values in MLflow; lifecycle_events lists each change of them.",
    ),
    _StageAsset(
        Stage.TRAINING_RUNS,
        (Stage.MODEL_VERSIONS,),
        _FROM_MLFLOW,
        "The training runs of the versions, including deleted ones: status, times, metrics, parameters, tags, data "
        "sets and experiment. Logged models of MLflow 3 are included. "
        "How to read it: read_error says why a run could not be read. A deleted run keeps its content and is marked as "
        "deleted.",
    ),
    _StageAsset(
        Stage.ARTIFACT_MANIFESTS,
        (Stage.TRAINING_RUNS,),
        _FROM_MLFLOW,
        "The files of each version with size, SHA-256 and kind, and the environment that they describe. "
        "Files are never executed, imported or unpickled. "
        "How to read it: the check 'intact' fails if the bytes of a file changed although its version did not.",
    ),
    _StageAsset(
        Stage.CANONICAL_RECORDS,
        (Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS, Stage.TRAINING_RUNS, Stage.ARTIFACT_MANIFESTS),
        _FROM_STORE,
        "One governance record per model version, with the provenance of each value. Built from the store; this stage "
        "does not contact MLflow. "
        "How to read it: null means that MLflow shows no value. incomplete lists what could not be read, and origins "
        "names the tag, alias or attribute that each value came from.",
    ),
    _StageAsset(
        Stage.COMPLIANCE_RESULTS,
        (Stage.CANONICAL_RECORDS,),
        _FROM_STORE,
        "The verdict of each rule on each record, and a badge per version. Evaluated from the store; this stage does "
        "not contact MLflow. "
        "How to read it: 'not evidenced' means that MLflow shows no evidence, not that something was not done. "
        "'not read' means that an object on which the rule rests could not be read; complete-record is the gap for it. "
        f"Compliance score: {SCORE_RULE} The plots on this page compare the tenants' latest metrics; the assets under "
        "compliance_over_time plot each tenant over time.",
    ),
)


def _build_asset(definition: _StageAsset) -> dg.AssetsDefinition:
    stage = definition.stage
    is_evaluation = stage is Stage.COMPLIANCE_RESULTS
    reads_mlflow = stage in STAGES_READING_MLFLOW
    descriptions = rule_descriptions() if is_evaluation else {}

    @dg.multi_asset(
        name=stage.value,
        specs=[
            dg.AssetSpec(
                stage.value,
                deps=[
                    *([mlflow_server] if reads_mlflow else []),
                    *([prompts] if stage is Stage.CANONICAL_RECORDS else []),
                    *(dep.value for dep in definition.deps),
                ],
                group_name="model_governance",
                kinds=set(definition.kinds),
                owners=["team:data-platform"],
                description=definition.description,
                metadata=stage_metadata(stage),
                tags={"stage": stage.value, "access_to_mlflow": "read_only" if reads_mlflow else "none"},
                freshness_policy=FRESHNESS_POLICY,
            )
        ],
        partitions_def=tenant_partitions,
        check_specs=[*rule_check_specs(stage.value, descriptions), *stage_check_specs(stage)],
        # A subset may be executed, for two reasons. First, a run without work need not yield anything. Second, the
        # results of the rules can be logged: yielding a result would cost two more events, its planning and the step's
        # output.
        can_subset=True,
    )
    def asset(
        context: dg.AssetExecutionContext, tenant_sync: TenantSync
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if not context.selected_asset_keys:  # "Execute all" on the page of checks passes no partition
            raise dg.Failure(
                f"checks cannot be executed on their own. Materialize {stage.value} for a tenant instead",
                allow_retries=False,
            )
        try:
            sync = tenant_sync.get(context)
            report = sync.run(stage)
        except NoHintsError:
            context.log.info("nothing to do: an earlier sync has followed all hints. The stages are skipped")
            context.instance.add_run_tags(context.run.run_id, {UNCHANGED_TAG: "true"})
            return
        except (
            HttpError,
            DatabaseError,
            SecretUnavailableError,
            TenantsFileError,
            RuleWorkerUnavailableError,
            UnauthenticatedAcceptanceError,
        ) as error:
            if isinstance(error, NewerSchemaError):  # migrated since the start: a newer process can do the sync
                context.instance.add_run_tags(context.run.run_id, RETRY_ALL_STEPS)
            # Dagster may retry only transient errors: retrying a wrong password would lock the account.
            raise dg.Failure(shorten(str(error)), allow_retries=getattr(error, "retryable", False)) from None
        metadata = _counts(report) | scope_metadata(sync.options) | materialization_metadata(sync, report)
        # Counting tag uses takes seconds with 100,000 versions, so the report is made only if a record changed. The
        # report stays with the materialization until the run is deleted.
        if stage is Stage.CANONICAL_RECORDS and report.progress.changed:
            metadata["tag_hygiene"] = tag_hygiene_table(tag_hygiene(sync.store, sync.tenant))
        compliance = ComplianceEvents.load(sync.store, sync.tenant) if is_evaluation else None
        if compliance:
            metadata |= _audit_trail_head(sync) | compliance.metadata()
        # The metadata is not in the MaterializeResult: the event of the step's output would hold all metadata a second
        # time.
        context.add_asset_metadata(within_size_limit(metadata))
        yield dg.MaterializeResult(data_version=_data_version(sync, stage))
        for event in asset_events(sync, report):
            context.log_event(event)
        if compliance:
            context.log_event(compliance.metrics_event())
            results = list(compliance.check_results(descriptions, context.instance))
            with check_results_at_once(context.instance):
                for result in results:
                    context.log_event(result)
            if all(report.is_unchanged for report in sync.reports):
                context.instance.add_run_tags(context.run.run_id, {UNCHANGED_TAG: "true"})
        selected = {key.name for key in context.selected_asset_check_keys}
        yield from (result for result in stage_check_results(sync, report) if result.check_name in selected)

    return asset


def _data_version(sync: Sync, stage: Stage) -> dg.DataVersion:
    with sync.store.begin(sync.tenant.tenant_id) as session:
        return data_version(newest_write(session, stage))


def _counts(report: StageReport) -> dict[str, MetadataEntry]:
    progress = report.progress
    metadata: dict[str, MetadataEntry] = {
        "read": progress.read,
        "changed": progress.changed,
        "removed": progress.removed,
        "incomplete": progress.incomplete,
        "requests": report.requests,
        "bytes_read": report.bytes_read,
        "seconds": round(report.seconds, 3),
    }
    if progress.notes:
        metadata["notes"] = "\n".join(escape_invisible(note) for note in first_notes(progress.notes))
    if progress.read_failures:
        records = [
            dg.TableRecord({"kind": failure.kind, "name": cell(failure.name), "reason": cell(failure.reason)})
            for failure in progress.read_failures[:_MAX_READ_FAILURE_ROWS]
        ]
        metadata["new_read_failures"] = dg.MetadataValue.table(records)
    return metadata


def _audit_trail_head(sync: Sync) -> dict[str, MetadataEntry]:
    """Return the length and head hash of the tenant's audit trail, and its newest checkpoint, from the last sync.

    The copy in Dagster's event log reveals a later truncation. ``audit verify --checkpoint`` reads it.
    """
    with sync.store.begin(sync.tenant.tenant_id) as session:
        head, newest = audit_log.head(session), newest_checkpoint(session)
    metadata: dict[str, MetadataEntry] = {}
    if head:
        metadata |= {"audit_trail_entries": head.sequence, "audit_trail_hash": head.hash}
    if newest:
        signed = {"checkpoint": newest.checkpoint.text, "signature": newest.checkpoint.signature}
        metadata["audit_checkpoint"] = dg.MetadataValue.json(signed)
    return metadata


stage_assets = [_build_asset(definition) for definition in _STAGE_ASSETS]
