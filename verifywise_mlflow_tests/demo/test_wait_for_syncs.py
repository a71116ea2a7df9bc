"""Which runs the demo waits for."""

from __future__ import annotations

from verifywise_mlflow.demo.servers.dagster_api import SyncRun
from verifywise_mlflow.demo.wait_for_syncs import describe, first_runs


def run(
    run_id: str, tenant_id: str | None, created: float, *, finished_steps: int = 0, status: str = "STARTED"
) -> SyncRun:
    tags = [] if tenant_id is None else [{"key": "dagster/partition", "value": tenant_id}]
    steps = [
        {"stepKey": f"stage {number}", "status": "SUCCESS" if number < finished_steps else None} for number in range(6)
    ]
    return SyncRun.model_validate(
        {"runId": run_id, "status": status, "creationTime": created, "tags": tags, "stepStats": steps}
    )


def test_the_first_run_of_each_tenant_since_the_start_counts() -> None:
    runs = [
        run("later", "acme", 30.0),
        run("of now", "acme", 20.0),
        run("of yesterday", "acme", 1.0),
        run("of a stranger", "initech", 20.0),
        run("of no tenant", None, 20.0),
    ]
    runs_found = first_runs(runs, ["acme", "globex"], since=10.0)
    assert {tenant_id: runs_found[tenant_id].run_id for tenant_id in runs_found} == {"acme": "of now"}


def test_a_run_that_the_queue_canceled_for_another_one_does_not_count() -> None:
    for statuses in (("CANCELED", "SUCCESS"), ("SUCCESS", "CANCELED")):
        runs = [run(status, "acme", 20.0 + number, status=status) for number, status in enumerate(statuses)]
        assert first_runs(runs, ["acme"], since=10.0)["acme"].run_id == "SUCCESS"


def test_stages_are_counted_when_they_are_done() -> None:
    assert run("one", "acme", 1.0, finished_steps=4).stages_done == 4


def test_progress_does_not_go_backward_while_dagster_queues_a_run() -> None:
    runs = [None, *(run("one", "acme", 1.0, status=status) for status in ("NOT_STARTED", "QUEUED", "STARTING"))]
    described = [describe(each) for each in (*runs, run("one", "acme", 1.0, status="SUCCESS"))]
    assert described == ["not requested yet", "queued", "queued", "0 of 6 stages", "success"]
