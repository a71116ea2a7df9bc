"""After whole syncs of a real server, a redacted secret is nowhere in the store."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow.entities import Dataset
from sqlalchemy import text

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow.services.change_polls import fetch_newest_updates
from verifywise_mlflow.tenants.intervals import Intervals
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.redaction.fake_secrets import HEX, random_text
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import record, rows, sync


def dump(store: Store) -> str:
    """Return every row of every table and view, as text."""
    with store.begin_shared() as connection:
        names = connection.scalars(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'verifywise_mlflow'")
        ).all()
        assert len(names) > 15
        return "\n".join(
            row
            for name in names
            for row in connection.scalars(text(f"SELECT t::text FROM verifywise_mlflow.{name} AS t"))
        )


def findings(store: Store, model: str) -> list[tuple[str, str]]:
    stored_findings = record(store, model)["findings"]
    assert isinstance(stored_findings, list)
    return [(finding["kind"], finding["sentence"]) for finding in stored_findings if "redacted" in finding["kind"]]


def test_no_secret_reaches_the_store(
    tenant: Tenant, registry: Registry, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    canary = random_text(24, HEX)
    token, password = "dap" + "i" + random_text(32, HEX), f"pw{canary}"
    source = json.dumps({"url": f"https://u:{password}@data.acme.example/x.csv"})
    dataset = Dataset(f"x {token}", "d1gest", "http", source)
    run_id = registry.run(
        experiment=f"churn {token}",
        params={"db_password": password, "lr": "0.1", "cmd": f"train --token={token}"},
        tags={"owner": "risk-team", token: "as a key", "note": f"postgresql://u:{password}@db/x"},
        metrics={"accuracy": 0.9, token: 1.0},
        datasets=[dataset],
    )
    registry.version(
        "credit",
        run_id=run_id,
        source=f"s3://key:{password}@bucket/model",
        tags={"api_key": password},
        description=f"Read with {token}",
    )
    registry.client.update_registered_model("credit", f"password={password}")
    registry.client.set_registered_model_tag("credit", "cfg", f'{{"password": "{password}"}}')

    link = f"https://conda.acme.example/t/tk-{canary}/scorer-1.0.tar.gz"
    environment = (
        f"dependencies:\n- python=3.11.7\n- pip:\n  - scorer @ {link}\n  - --index-url https://{token}@x/simple\n"
    )
    files_run = registry.run(files={"model/MLmodel": b"flavors: {}", "model/conda.yaml": environment.encode()})
    registry.version("packed", run_id=files_run, source=f"{registry.client.get_run(files_run).info.artifact_uri}/model")

    with caplog.at_level(logging.DEBUG, logger="verifywise_mlflow"):
        sync(tenant, store)
        changed_before = [row["changed_at"] for row in rows(store, "training_runs")]
        sync(tenant, store)

    stored = dump(store)
    assert canary not in stored + caplog.text
    assert token not in stored + caplog.text
    assert "https://conda.acme.example/t/[redacted: token]/scorer-1.0.tar.gz" in stored
    credit = record(store, "credit")
    assert credit["hyperparameters"] == {
        "cmd": "train --token=[redacted: databricks api token]",
        "db_password": "[redacted: password]",
        "lr": "0.1",
    }
    assert credit["owner"] == "risk-team"
    assert credit["experiment_name"] == "churn [redacted: databricks api token]"
    assert credit["source_artifact_uri"] == "s3://key:[redacted: password]@bucket/model"
    sentences = dict.fromkeys(sentence for kind, sentence in findings(store, "credit") if kind == "secret redacted")
    assert (
        "the run's param 'db_password' contained a secret (password), which was redacted: replace it, and delete it "
        "from MLflow, which still shows it"
    ) in sentences
    assert len(sentences) == 12
    assert [row["changed_at"] for row in rows(store, "training_runs")] == changed_before


class _Refusing(BaseHTTPRequestHandler):
    """A gateway whose error message quotes a credential."""

    message = ""

    def do_GET(self) -> None:
        body = json.dumps({"error_code": "BAD_REQUEST", "message": self.message}).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)


def test_a_secret_in_an_error_response_does_not_reach_the_audit_trail(store: Store) -> None:
    password = f"pw{random_text(24, HEX)}"
    handler = type("Handler", (_Refusing,), {"message": f"no route to postgresql://mlflow:{password}@db/x"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tenant = Tenant.model_validate(
            {
                "tenant_id": "acme",
                "tracking_uri": f"http://127.0.0.1:{server.server_port}",
                "allow_private_network": True,
            }
        )
        with pytest.raises(HttpError) as sync_error:
            sync(tenant, store)
        with pytest.raises(HttpError) as poll_error:
            fetch_newest_updates(tenant, with_prompts=False)
        server.shutdown()

    stored = dump(store)
    assert "mlflow:[redacted: password]@db" in stored
    assert password not in stored + str(sync_error.value) + str(poll_error.value)
    assert "[redacted: password]" in str(poll_error.value)


def test_a_concurrent_sync_with_earlier_settings_does_not_count_as_a_read(
    tenant: Tenant, registry: Registry, store: Store
) -> None:
    registry.version("credit", run_id=registry.run(params={"reviewer": "anna@acme.example"}))
    rarely_reconciled_tenant = tenant.model_copy(update={"intervals": Intervals.model_validate({"reconcile": "365d"})})
    stricter = RedactionSettings.model_validate({"personal_data": {"redact": ["email"]}})
    with (
        Sync(rarely_reconciled_tenant, store) as before,
        Sync(rarely_reconciled_tenant.model_copy(update={"redaction": stricter}), store) as after,
    ):
        for stage in (Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS, Stage.TRAINING_RUNS):
            # The sync that began first runs first, so it reads with the settings that the other sync has replaced.
            before.run(stage)
            after.run(stage)

    assert after.reports[-1].progress.is_reconcile


def test_new_settings_apply_to_objects_that_were_read_before(tenant: Tenant, registry: Registry, store: Store) -> None:
    run_id = registry.run(params={"reviewer": "anna@acme.example"}, tags={"team": "risk"}, metrics={"accuracy": 0.9})
    registry.version("credit", run_id=run_id, tags={"owner": "anna@acme.example"})
    # A finished run is read again only at a reconcile.
    rarely_reconciled_tenant = tenant.model_copy(update={"intervals": Intervals.model_validate({"reconcile": "365d"})})
    sync(rarely_reconciled_tenant, store)
    assert record(store, "credit")["owner"] == "anna@acme.example"

    stricter = RedactionSettings.model_validate(
        {"tags": {"deny": ["team"]}, "metrics": {"allow": ["f1"]}, "personal_data": {"redact": ["email"]}}
    )
    with_stricter = rarely_reconciled_tenant.model_copy(update={"redaction": stricter})
    first, second = sync(with_stricter, store), sync(with_stricter, store)

    (run,) = rows(store, "training_runs")
    assert run["params"] == {"reviewer": "[redacted: email]"}
    assert "team" not in str(run["tags"])
    assert run["metrics"] == {}
    assert record(store, "credit")["owner"] == "[redacted: email]"
    assert {kind for kind, _ in findings(store, "credit")} == {"personal data redacted"}
    assert [run.reports[2].progress.is_reconcile for run in (first, second)] == [True, False]
    assert len([row for row in rows(store, "config_versions") if row["kind"] == "redaction"]) == 2
