"""The six stages as assets, partitioned by tenant.

They differ in what the pipeline does for each and in what they say of themselves, so they come from one
function over one table. Data passes through Postgres, not through Dagster: an asset returns its figures.
"""

# No `from __future__ import annotations` here: Dagster reads the assets' annotations as types.

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from verifywise_mlflow.compliance.score import SCORE_RULE
from verifywise_mlflow.defs.assets.asset_metadata import Shown, cell, of_materialization, of_stage
from verifywise_mlflow.defs.assets.compliance_events import Judged
from verifywise_mlflow.defs.assets.data_versions import data_version
from verifywise_mlflow.defs.assets.external_assets import READ_FROM_MLFLOW, mlflow_server
from verifywise_mlflow.defs.assets.freshness_policy import POLICY
from verifywise_mlflow.defs.assets.tag_hygiene import tag_hygiene_table
from verifywise_mlflow.defs.checks.data_quality import stage_check_results, stage_check_specs
from verifywise_mlflow.defs.checks.rule_specs import check_specs, known_rules
from verifywise_mlflow.defs.markdown import shown
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.defs.resources import TenantSync
from verifywise_mlflow.defs.schedules.run_retention import UNCHANGED
from verifywise_mlflow.http.errors import ConnectorError
from verifywise_mlflow.persistence.database import DatabaseError
from verifywise_mlflow.persistence.queries.stage_contents import stage_state
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.pipeline.context import Stage, StageReport
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.tag_hygiene import tag_hygiene
from verifywise_mlflow.tenants.loading import TenantsFileError
from verifywise_mlflow.tenants.secrets import SecretUnavailableError


@dataclass(frozen=True, slots=True)
class _StageAsset:
    stage: Stage
    deps: tuple[Stage, ...]
    kinds: frozenset[str]
    description: str


_FROM_MLFLOW = frozenset({"mlflow", "postgres"})
_FROM_OUR_STORE = frozenset({"postgres"})

_STAGES = (
    _StageAsset(
        Stage.REGISTERED_MODELS,
        (),
        _FROM_MLFLOW,
        "The registered models of a tenant's MLflow server: description, tags, aliases, times. "
        "A model that a complete listing no longer shows and that the server says is not there gets a tombstone. "
        "How to read it: gone_at is null while the model lives; changed_at is when we saw it change, not "
        "when MLflow did.",
    ),
    _StageAsset(
        Stage.MODEL_VERSIONS,
        (Stage.REGISTERED_MODELS,),
        _FROM_MLFLOW,
        "Every version of every model in any status: stage, aliases, source, run, tags, times. "
        "How to read it: stage and aliases are MLflow's own words; lifecycle_events has every move of them.",
    ),
    _StageAsset(
        Stage.TRAINING_RUNS,
        (Stage.MODEL_VERSIONS,),
        _FROM_MLFLOW,
        "The runs that versions came from, deleted ones too: status, times, metrics, parameters, tags, data sets, "
        "experiment; or why a run could not be read. Logged models of MLflow 3 are read along. "
        "How to read it: unreadable says why a run has no content; a run that was deleted is still shown as such.",
    ),
    _StageAsset(
        Stage.ARTIFACT_MANIFESTS,
        (Stage.TRAINING_RUNS,),
        _FROM_MLFLOW,
        "Which files each version has, with size, SHA-256 and kind, and the environment that they describe. "
        "Files are never executed, imported or unpickled. "
        "How to read it: the check 'intact' fails where bytes changed under a version that did not.",
    ),
    _StageAsset(
        Stage.CANONICAL_RECORDS,
        (Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS, Stage.TRAINING_RUNS, Stage.ARTIFACT_MANIFESTS),
        _FROM_OUR_STORE,
        "One record per model version, in the words of governance, with where each value came from. "
        "A null is a gap: MLflow shows nothing there. Built from the store alone: MLflow is not asked. "
        "How to read it: incomplete lists what could not be read, origins where each value stood.",
    ),
    _StageAsset(
        Stage.COMPLIANCE_RESULTS,
        (Stage.CANONICAL_RECORDS,),
        _FROM_OUR_STORE,
        "The verdict of each rule on each record, and a badge per version. 'not evidenced' means that MLflow shows "
        "no evidence, not that something was not done. Judged from the store alone: MLflow is not asked. "
        f"The compliance score: {SCORE_RULE} The plots here show each tenant's newest figures beside the others'; "
        "those of compliance_over_time show a tenant's over time.",
    ),
)


def _asset(described: _StageAsset) -> dg.AssetsDefinition:
    stage = described.stage
    judges = stage is Stage.COMPLIANCE_RESULTS
    known = known_rules() if judges else {}

    @dg.multi_asset(
        name=stage.value,
        specs=[
            dg.AssetSpec(
                stage.value,
                deps=[*([mlflow_server] if stage in READ_FROM_MLFLOW else []), *(dep.value for dep in described.deps)],
                group_name="model_governance",
                kinds=set(described.kinds),
                owners=["team:data-platform"],
                description=described.description,
                metadata=of_stage(stage),
                tags={"stage": stage.value, "access_to_mlflow": "read_only" if stage in READ_FROM_MLFLOW else "none"},
                freshness_policy=POLICY,
            )
        ],
        partitions_def=tenant_partitions,
        check_specs=[*check_specs(stage.value, known), *stage_check_specs(stage)],
        # So that the rules' results can be logged. Yielded, each would take two more events: one that it is planned,
        # one that it has come out.
        can_subset=judges,
    )
    def asset(
        context: dg.AssetExecutionContext, tenant_sync: TenantSync
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if not context.selected_asset_keys:  # "Execute all" on Dagster's page of checks, which names no partition
            raise dg.Failure(
                f"checks cannot be executed alone: materialize {stage.value} for a tenant", allow_retries=False
            )
        try:
            sync = tenant_sync.of(context)
            report = sync.run(stage)
        except (ConnectorError, DatabaseError, SecretUnavailableError, TenantsFileError) as error:
            # The same wrong password would only lock the account: Dagster may retry what passes, and nothing else.
            raise dg.Failure(str(error), allow_retries=getattr(error, "passing", False)) from None
        figures = _figures(report) | of_materialization(sync, report)
        # Counting takes seconds with 100,000 versions. Where no record changed, it stands beside the last
        # materialization that changed one, until that run is deleted.
        if stage is Stage.CANONICAL_RECORDS and report.progress.changed:
            figures["tag_hygiene"] = tag_hygiene_table(tag_hygiene(sync.store, sync.tenant))
        judged = Judged.now(sync.store, sync.tenant) if judges else None
        if judged:
            figures |= _end_of_trail(sync) | judged.figures()
        # Not beside the result: the event of the step's output would hold all of it once more.
        context.add_asset_metadata(figures)
        yield dg.MaterializeResult(data_version=_data_version(sync, stage))
        if judged:
            context.log_event(judged.over_time())
            for result in judged.results(known, context.instance):
                context.log_event(result)
            if all(report.found_nothing_new for report in sync.reports):
                context.instance.add_run_tags(context.run.run_id, {UNCHANGED: "true"})
        yield from stage_check_results(sync, report)

    return asset


def _data_version(sync: Sync, stage: Stage) -> dg.DataVersion:
    with sync.store.begin(sync.tenant.tenant_id) as connection:
        return data_version(stage_state(connection, sync.tenant.tenant_id, stage))


def _figures(report: StageReport) -> dict[str, Shown]:
    progress = report.progress
    figures: dict[str, Shown] = {
        "read": progress.read,
        "changed": progress.changed,
        "removed": progress.removed,
        "incomplete": progress.incomplete,
        "requests": report.requests,
        "bytes_read": report.bytes_read,
        "seconds": round(report.seconds, 3),
    }
    if progress.notes:
        figures["notes"] = "\n".join(map(shown, progress.notes))
    if progress.unreadable:
        records = [
            dg.TableRecord({"kind": item.kind, "name": cell(item.name), "reason": cell(item.reason)})
            for item in progress.unreadable[:50]
        ]
        figures["newly_unreadable"] = dg.MetadataValue.table(records)
    return figures


def _end_of_trail(sync: Sync) -> dict[str, int | str]:
    """Return how far the tenant's audit trail has come: kept in Dagster, it shows one that is cut off later."""
    with sync.store.begin(sync.tenant.tenant_id) as connection:
        head = audit_log.head(connection, sync.tenant.tenant_id)
    return {"audit_trail_entries": head.sequence, "audit_trail_hash": head.hash} if head else {}


stage_assets = [_asset(described) for described in _STAGES]
