"""A sync that is killed loses nothing: the next one ends where an undisturbed one would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.pipeline.syncing import Row, rows
from verifywise_mlflow_tests.registry import Registry

WHEN_AND_HOW_OFTEN = {"changed_at", "revision", "evaluated_at", "sync_id"}


def test_a_sync_killed_anywhere_is_taken_up_by_the_next(
    registry: Registry, tenants_file: Path, database_url: str, store: Store
) -> None:
    run_id = registry.run(files={"model/MLmodel": b"flavors: {}"}, metrics={"auc": 0.5})
    for _ in range(40):
        registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model", tags={"owner": "ada"})
    began = time.monotonic()
    assert _start().wait() == 0
    whole = time.monotonic() - began
    undisturbed = _what_is_kept(store)
    assert len(undisturbed["canonical_records"]) == 40

    _empty(store)
    ended_by_itself = 0
    for part in range(1, 9):
        process = _start()
        time.sleep(whole * part / 9)
        process.send_signal(signal.SIGKILL)
        ended_by_itself += process.wait() == 0
    assert ended_by_itself < 8  # else nothing was disturbed
    assert _start().wait() == 0

    assert _what_is_kept(store) == undisturbed


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "verifywise_mlflow.cli", "sync", "acme", "--json"],
        env=os.environ.copy(),
        stdout=subprocess.DEVNULL,
    )


def _what_is_kept(store: Store) -> dict[str, list[Row]]:
    return {
        table: [
            {name: value for name, value in row.items() if name not in WHEN_AND_HOW_OFTEN}
            for row in rows(store, table, order)
        ]
        for table, order in (
            ("canonical_records", "model_name, version_number"),
            ("compliance_results", "model_name, version_number, rule_id"),
        )
    }


def _empty(store: Store) -> None:
    with store.begin(None) as connection:
        for table in (
            "registered_models",
            "model_versions",
            "training_runs",
            "artifact_manifests",
            "canonical_records",
            "record_inputs",
            "compliance_results",
            "compliance_badges",
            "stage_refreshes",
        ):
            connection.exec_driver_sql(f"TRUNCATE verifywise.{table}")
