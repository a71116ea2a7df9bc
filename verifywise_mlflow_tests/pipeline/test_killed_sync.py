"""A killed sync loses nothing and duplicates nothing: later syncs leave the same rows as one undisturbed sync."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.pipeline.database_snapshot import differences, outcomes, snapshot
from verifywise_mlflow_tests.support.databases import create_migrated_database
from verifywise_mlflow_tests.support.evaluation_fixtures import one_rule_compliance
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry

READ_ALL = ("--reconcile", "--rehash")


@pytest.mark.timeout(900)  # some seventy syncs: half a minute, more on a busy machine
@pytest.mark.slow(seconds=60)
def test_syncs_killed_around_every_commit_leave_the_same_rows_as_one_undisturbed_sync(
    registry: Registry,
    tenants_file: Path,
    database_url: str,
    postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed_url = create_migrated_database(postgres)
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", killed_url)
    use_one_rule(tenants_file)
    fill(registry)
    kills: list[str] = []
    for options in ((), READ_ALL):
        if options:
            change(registry)
        # The writes of ``sync.py``, which every sync makes, were killed in the first round.
        spared = [kill for kill in kills if " sync._" in kill]
        kills += sync_with_kills(*options, undisturbed_url=database_url, sparing=spared)

        assert differences(killed_url, database_url) == {}

    # Every stage's boundary: right after the transaction that closes it.
    closed = [kill.split()[1] for kill in kills if kill.startswith("after") and "._close_stage" in kill]
    assert {*closed} == {stage.value for stage in Stage}
    # And inside every stage, before and after the writes of the stage.
    for moment in ("before", "after"):
        inside = [kill.split()[1] for kill in kills if kill.startswith(moment) and "sync._" not in kill]
        assert {*inside} >= {stage.value for stage in Stage}
    assert len(kills) > 40
    assert "failed" not in outcomes(killed_url)
    # Nothing is left to do, either: the next sync writes nothing.
    before = snapshot(killed_url, exactly=True)
    sync()
    assert snapshot(killed_url, exactly=True) == before


def use_one_rule(tenants_file: Path) -> None:
    """Replace the default policy: about seventy syncs evaluate every version again, and any rule is sufficient."""
    document = yaml.safe_load(tenants_file.read_text())
    document["tenants"]["acme"]["compliance"] = one_rule_compliance(tenants_file.parent).model_dump(mode="json")
    tenants_file.write_text(yaml.safe_dump(document))


def fill(registry: Registry) -> None:
    """Register models of every sort: trained, copied, of a deleted run, of a logged model, without files."""
    client = registry.client
    trained = registry.trained_version("churn")
    registry.trained_version("churn")
    registry.version("fraud", run_id=trained.run_id, source="models:/churn/1", tags={"owner": "ada", "risk": "high"})
    registry.version("fraud", run_id="f" * 32)
    run = registry.run(metrics={"auc": 0.7}, tags={"privacy_assessment": "done"})
    logged = client.create_logged_model(client.get_run(run).info.experiment_id, "model", run)
    registry.version("scoring", tags={"owner": "bob"})
    client.create_model_version("scoring", f"models:/{logged.model_id}", model_id=logged.model_id, await_creation_for=0)
    registry.version("doomed")
    registry.version("reborn", tags={"owner": "first"})
    registry.version("reborn")
    client.set_registered_model_alias("churn", "champion", "1")
    client.transition_model_version_stage("fraud", "1", "Staging")


def change(registry: Registry) -> None:
    """Change everything that can change: tags, aliases, stages, runs, bytes; delete, recreate, add."""
    client = registry.client
    client.set_registered_model_alias("churn", "champion", "2")
    client.set_model_version_tag("fraud", "1", "risk", "low")
    client.transition_model_version_stage("fraud", "1", "Production")
    run_id = client.get_model_version("churn", "1").run_id
    assert run_id
    client.set_tag(run_id, "privacy_assessment", "done")
    pickle = registry.scratch / "model.pkl"
    pickle.write_bytes(MODEL_FILES["model.pkl"] + b"changed")
    client.log_artifact(run_id, str(pickle), "model")
    client.delete_model_version("scoring", "1")
    client.delete_registered_model("doomed")
    client.delete_registered_model("reborn")
    registry.version("reborn", tags={"owner": "second"})
    registry.version("fraud", run_id="e" * 32)
    registry.trained_version("latecomer")


def sync(*options: str) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "verifywise_mlflow.cli", "sync", "acme", "--json", *options],
        env=os.environ.copy(),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def sync_with_kills(*options: str, undisturbed_url: str, sparing: Sequence[str] = ()) -> list[str]:
    """Sync once undisturbed, then kill syncs until a sync ends by itself; return the places of the kills."""
    process = subprocess.run(
        [sys.executable, "-m", "verifywise_mlflow_tests.pipeline.sync_killer", *options],
        input="\n".join(sparing),
        env=os.environ | {"UNDISTURBED_DATABASE_URL": undisturbed_url},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout.splitlines()
