"""The disk of Postgres is full: the sync ends with a clear error, writes nothing partially, and the next continues."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.database_snapshot import differences, outcomes
from verifywise_mlflow_tests.pipeline.small_disk import postgres_on_a_small_disk
from verifywise_mlflow_tests.support.proxy import Exchange, proxy_before
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows, sync


def test_a_full_disk_is_a_clear_error_rolls_back_and_the_next_sync_recovers(
    registry: Registry,
    tenant: Tenant,
    tenants_file: Path,
    store: Store,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.trained_version("churn")
    registry.version("fraud", run_id="f" * 32, tags={"owner": "ada"})
    with postgres_on_a_small_disk() as disk, proxy_before(tenant.tracking_uri) as proxy:
        tenants_file.write_text(tenants_file.read_text().replace(tenant.tracking_uri, proxy.uri))
        sync(tenant.model_copy(update={"tracking_uri": proxy.uri}), store)
        filled: list[Exchange] = []

        def fill_when_versions_are_asked_for(exchange: Exchange) -> None:
            if exchange.path.endswith("model-versions/search") and not filled:
                filled.append(exchange)
                disk.fill()

        proxy.before_request = fill_when_versions_are_asked_for
        monkeypatch.setenv("VERIFYWISE_DATABASE_URL", disk.url)
        interrupted = CliRunner().invoke(app, ["sync", "acme"])
        second_sync = CliRunner().invoke(app, ["sync", "acme"])

        message = " ".join(interrupted.output.split())
        assert (interrupted.exit_code, second_sync.exit_code) == (1, 1), message
        assert isinstance(interrupted.exception, SystemExit)
        assert "No space left on device" in message
        assert "the next sync resumes from there" in message
        assert "Traceback" not in message
        with Store(disk.url) as full:
            assert len(rows(full, "registered_models")) == 2, "the previous stage was committed"
            assert rows(full, "model_versions") == [], "the stage that failed was undone"

        disk.free()
        resumed = CliRunner().invoke(app, ["sync", "acme"])

        assert resumed.exit_code == 0, resumed.output
        assert differences(disk.url, database_url) == {}
        # Failed syncs are recorded as far as the disk had space for an entry.
        assert outcomes(disk.url)[-1] == "incomplete"
        assert {*outcomes(disk.url)[:-1]} <= {"failed"}
