"""Checks of data quality, per tenant: the data is complete, it is fresh, and no file changed under its version.

Each check costs a sync three events. ``rule_specs`` explains why checks are partitioned.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import dagster as dg

from verifywise_mlflow.common.markdown import code_span
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.metadata_table import rows_table
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.persistence.queries.stage_queries import count_changed_files, newest_changed_files
from verifywise_mlflow.persistence.repositories import records
from verifywise_mlflow.pipeline.context import StageReport, first_notes
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.freshness import load_stage_freshness
from verifywise_mlflow.tenants.freshness import StageFreshness, describe_staleness

_COMPLETE, _INTACT, FRESH = "complete", "intact", "fresh"
_MAX_CHANGED_FILE_ROWS = 20

_READ_COMPLETELY: Final = (
    "The sync could read everything that it had to read. What it could not read is retried by the next sync and is "
    "never treated as deleted."
)
_CHECKS: Final[Mapping[Stage, Mapping[str, str]]] = {
    Stage.REGISTERED_MODELS: {_COMPLETE: _READ_COMPLETELY},
    Stage.MODEL_VERSIONS: {_COMPLETE: _READ_COMPLETELY},
    Stage.TRAINING_RUNS: {_COMPLETE: _READ_COMPLETELY},
    Stage.ARTIFACT_MANIFESTS: {
        _COMPLETE: _READ_COMPLETELY,
        _INTACT: "No file of an existing version changed without a change of the version.",
    },
    Stage.CANONICAL_RECORDS: {
        _COMPLETE: "The record of each existing version contains everything that MLflow shows.",
        FRESH: "Each stage completed recently enough: by default within twice the tenant's intervals.reconcile plus "
        "ten minutes. Evaluated after each sync, and every five minutes for tenants that are not synced.",
    },
}


CHECKS_OF_LISTINGS: Final = tuple(
    dg.AssetCheckKey(dg.AssetKey(stage.value), _COMPLETE)
    for stage in (Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS, Stage.TRAINING_RUNS, Stage.ARTIFACT_MANIFESTS)
)
"""The checks that a targeted sync does not evaluate: reading a few objects says nothing about the other objects."""


def stage_check_specs(stage: Stage) -> list[dg.AssetCheckSpec]:
    """Return the data quality checks of a stage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=stage.value, description=description, partitions_def=tenant_partitions)
            for name, description in _CHECKS.get(stage, {}).items()
        ]


def stage_check_results(sync: Sync, report: StageReport) -> Iterator[dg.AssetCheckResult]:
    """Yield a result for each data quality check of the stage."""
    match report.stage:
        case Stage.COMPLIANCE_RESULTS:
            return
        case Stage.CANONICAL_RECORDS:
            yield from _record_results(sync)
        case _:
            yield _completeness_result(report)
    if report.stage is Stage.ARTIFACT_MANIFESTS:
        yield _integrity_result(sync, report.progress.incomplete)


def _completeness_result(report: StageReport) -> dg.AssetCheckResult:
    progress = report.progress
    passed = not progress.incomplete and not progress.warnings
    notes = [code_span(note) for note in first_notes(progress.notes)]
    if progress.incomplete:
        notes = [f"{progress.incomplete:,} of {progress.read:,} could not be read completely", *notes]
    return dg.AssetCheckResult(
        check_name=_COMPLETE,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(notes) or f"Read {progress.read:,} completely",
        metadata={} if passed else {"read": progress.read, "incomplete": progress.incomplete},
    )


def _record_results(sync: Sync) -> Iterator[dg.AssetCheckResult]:
    with sync.store.begin(sync.tenant.tenant_id) as session:
        incomplete = records.count_incomplete(session)
        stages = load_stage_freshness(session, sync.tenant, sync.now())
    yield dg.AssetCheckResult(
        check_name=_COMPLETE,
        passed=not incomplete,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{incomplete:,} records of existing versions lack something that MLflow shows",
        metadata={"incomplete": incomplete},
    )
    # compliance_results is left out: it runs after this stage in the same sync, so after an outage it is still stale at
    # this point.
    yield freshness_result([stage for stage in stages if stage.stage in _CHECKS])


def freshness_result(stages: Sequence[StageFreshness], last_sync_outcome: str = "") -> dg.AssetCheckResult:
    """Return the result of the check ``fresh``; ``last_sync_outcome`` is shown for a stale tenant."""
    staleness = describe_staleness(stages)
    sentences = [staleness, code_span(last_sync_outcome)] if staleness else ["Each stage completed recently enough"]
    rows = [
        {"stage": stage.stage, "last completed": stage.last_completed_at, "is stale": stage.is_stale}
        for stage in stages
    ]
    return dg.AssetCheckResult(
        check_name=FRESH,
        passed=staleness is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=". ".join(filter(None, sentences)),
        metadata={"stages": rows_table(rows)} if staleness else {},
    )


def _integrity_result(sync: Sync, unread: int) -> dg.AssetCheckResult:
    """Return the result of the check ``intact``. Files that were not read may have changed, so they are a warning."""
    with sync.store.begin(sync.tenant.tenant_id) as session:
        count = count_changed_files(session)
        unread = unread or records.count_incomplete(session, "files")
        rows = newest_changed_files(session, _MAX_CHANGED_FILE_ROWS) if count else ()
    return dg.AssetCheckResult(
        check_name=_INTACT,
        passed=not count and not unread,
        severity=dg.AssetCheckSeverity.ERROR if count else dg.AssetCheckSeverity.WARN,
        description=f"{count:,} files changed although their versions did not. Review each of them"
        if count
        else f"No file that could be read changed, but the files of {unread:,} versions could not be read completely"
        if unread
        else "No file changed without a change of its version",
        metadata={"changed_files": count, "files": rows_table(rows)} if rows else {},
    )
