"""Which stages a run is certain to execute: a sync requests early only what one of these stages needs."""

from __future__ import annotations

import dagster as dg
import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.resources import planned_stages


@pytest.mark.parametrize(
    ("run", "stages"),
    [
        (dg.DagsterRun(job_name="sync"), list(Stage)),
        (
            dg.DagsterRun(job_name="sync", asset_selection=frozenset({dg.AssetKey("registered_models")})),
            [Stage.REGISTERED_MODELS],
        ),
        (
            dg.DagsterRun(job_name="sync", step_keys_to_execute=["compliance_results", "canonical_records"]),
            [Stage.CANONICAL_RECORDS, Stage.COMPLIANCE_RESULTS],
        ),
    ],
    ids=["all assets", "one asset", "a retry of the steps that failed"],
)
def test_a_run_plans_the_stages_that_it_selects(run: dg.DagsterRun, stages: list[Stage]) -> None:
    assert planned_stages(run) == stages
