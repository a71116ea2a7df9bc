"""Checks of the data itself, a tenant each: is it complete, is it fresh, are the files still those that were there.

They stand beside the rules' checks and cost a sync three events each. Partitioned checks: see checks.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import dagster as dg

from verifywise_mlflow.defs.assets.asset_metadata import preview
from verifywise_mlflow.defs.markdown import quoted
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.persistence.queries.stage_contents import changed_bytes, count_changed_bytes
from verifywise_mlflow.persistence.repositories import records
from verifywise_mlflow.pipeline.context import Stage, StageReport
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.freshness import stage_ages
from verifywise_mlflow.tenants.freshness import StageAge, told

_COMPLETE, _INTACT, FRESH = "complete", "intact", "fresh"
_SHOWN = 20

_READING: Final = (
    "What this sync read, it read in full. What it could not read is tried again, and is never taken for gone."
)
_CHECKS: Final[Mapping[Stage, Mapping[str, str]]] = {
    Stage.REGISTERED_MODELS: {_COMPLETE: _READING},
    Stage.MODEL_VERSIONS: {_COMPLETE: _READING},
    Stage.TRAINING_RUNS: {_COMPLETE: _READING},
    Stage.ARTIFACT_MANIFESTS: {
        _COMPLETE: _READING,
        _INTACT: "No file was seen to change under a version that lives and did not change.",
    },
    Stage.CANONICAL_RECORDS: {
        _COMPLETE: "The records of all living versions hold all that MLflow shows.",
        FRESH: "Each stage was gone through in time: by default, within two of the tenant's reconcile intervals and "
        "ten minutes. Looked at after each sync, and every five minutes for tenants that are not synced.",
    },
}


def stage_check_specs(stage: Stage) -> list[dg.AssetCheckSpec]:
    """Return the checks of a stage's data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=stage.value, description=asked, partitions_def=tenant_partitions)
            for name, asked in _CHECKS.get(stage, {}).items()
        ]


def stage_check_results(sync: Sync, report: StageReport) -> Iterator[dg.AssetCheckResult]:
    """Return a result for each check of the stage."""
    match report.stage:
        case Stage.COMPLIANCE_RESULTS:
            return
        case Stage.CANONICAL_RECORDS:
            yield from _of_records(sync)
        case _:
            yield _read_in_full(report)
    if report.stage is Stage.ARTIFACT_MANIFESTS:
        yield _intact(sync)


def _read_in_full(report: StageReport) -> dg.AssetCheckResult:
    progress = report.progress
    passed = not progress.incomplete and not progress.notes
    notes = [quoted(note) for note in progress.notes]
    told = f"{progress.incomplete:,} of {progress.read:,} could not be read in full" if progress.incomplete else ""
    return dg.AssetCheckResult(
        check_name=_COMPLETE,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join([told, *notes] if told else notes) or f"{progress.read:,} read in full",
        metadata={} if passed else {"read": progress.read, "incomplete": progress.incomplete},
    )


def _of_records(sync: Sync) -> Iterator[dg.AssetCheckResult]:
    with sync.store.begin(sync.tenant.tenant_id) as connection:
        incomplete = records.count_incomplete(connection, sync.tenant.tenant_id)
        aged = stage_ages(connection, sync.tenant, sync.now())
    yield dg.AssetCheckResult(
        check_name=_COMPLETE,
        passed=not incomplete,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{incomplete:,} records of living versions do not hold all that MLflow shows",
        metadata={"incomplete": incomplete},
    )
    # The verdicts come after the records in the same sync: after an outage they are late until then.
    yield fresh_result([age for age in aged if age.stage in _CHECKS])


def fresh_result(aged: Sequence[StageAge], how_it_ended: str = "") -> dg.AssetCheckResult:
    """Return whether a tenant's stages are fresh; ``how_it_ended`` tells of its last sync."""
    late = told(aged)
    sentences = [late, quoted(how_it_ended)] if late else ["each stage was gone through in time"]
    stages = [{"stage": age.stage, "gone through": age.gone_through_at, "late": age.is_late} for age in aged]
    return dg.AssetCheckResult(
        check_name=FRESH,
        passed=late is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=". ".join(filter(None, sentences)),
        metadata={"stages": preview(stages)} if late else {},
    )


def _intact(sync: Sync) -> dg.AssetCheckResult:
    with sync.store.begin(sync.tenant.tenant_id) as connection:
        count = count_changed_bytes(connection, sync.tenant.tenant_id)
        rows = changed_bytes(connection, sync.tenant.tenant_id, _SHOWN) if count else ()
    return dg.AssetCheckResult(
        check_name=_INTACT,
        passed=not count,
        severity=dg.AssetCheckSeverity.ERROR if count else dg.AssetCheckSeverity.WARN,
        description=f"{count:,} files changed under versions that did not: somebody has to look at each"
        if count
        else "no file was seen to change under a version that did not",
        metadata={"changed_files": count, "files": preview(rows)} if rows else {},
    )
