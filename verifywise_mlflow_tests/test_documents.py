"""What the README and the files beside it say is true."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml
from pydantic import TypeAdapter
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.connector.endpoints import DatabricksReadCall, ReadCall
from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.tenants.auth import Credentials
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.defs.production import name_postgres

ROOT = Path(__file__).parents[1]
TENANTS = (ROOT / "docs" / "tenants.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readmes_tenants_file_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "tenants.yaml"
    path.write_text("\n".join(line.removeprefix("   ") for line in example.splitlines()))

    tenant = load_tenants(path)["acme"]

    assert tenant.auth.identity() == "basic svc-governance (password from env:ACME_MLFLOW_PASSWORD)"


def test_the_readme_names_every_field_of_the_record() -> None:
    assert [field for field in FIELDS if f"`{field}`" not in README] == []


def test_the_readme_counts_the_calls() -> None:
    posts = [call for call in (*ReadCall, *DatabricksReadCall) if call.method == "POST"]
    assert (len(ReadCall), len(posts), len(DatabricksReadCall)) == (16, 3, 6)
    assert "sixteen to MLflow, three of them searches that are POST, and six more to" in " ".join(README.split())


def test_the_reference_of_tenants_is_one_that_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TENANTS, re.DOTALL)
    path = tmp_path / "tenants.yaml"
    path.write_text(example)

    tenant = load_tenants(path)["acme"]

    named = set(re.findall(r"`(\w+)`", TENANTS))
    assert tenant.workspace == "team-a"
    assert set(Tenant.model_fields) - {"tenant_id"} <= named


def test_the_stores_in_the_page_on_artifacts_are_some(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "artifacts.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "tenants.yaml"
    path.write_text(example)

    artifacts = load_tenants(path)["acme"].artifacts

    assert [type(store).__name__ for store in artifacts.stores] == [
        "S3Store",
        "S3Store",
        "GcsStore",
        "AzureStore",
        "FolderStore",
        "WebStore",
    ]
    assert {"max_file_bytes": artifacts.max_file_bytes, "max_files": artifacts.max_files} == {
        name: field.default for name, field in Artifacts.model_fields.items() if name in ("max_file_bytes", "max_files")
    }


@pytest.mark.parametrize("auth", re.findall(r"^\| `(\{kind: .*?\})` \|", TENANTS, re.MULTILINE))
def test_each_kind_of_credentials_in_the_reference_is_one(auth: str) -> None:
    written = auth.replace("arn:aws:sagemaker:…", "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/a")

    credentials: Credentials = TypeAdapter(Credentials).validate_python(yaml.safe_load(written))

    assert credentials.kind in auth


def test_the_files_that_the_readme_points_to_are_there() -> None:
    paths = re.findall(r"`((?:verifywise_mlflow|deploy|docs)/[\w./]+)`|\]\((docs/[\w./]+)\)", README)
    named = [first or second for first, second in paths]
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("command", re.findall(r"^\s*verifywise-mlflow ([\w ]+?)(?: acme)?\s+#", README, re.MULTILINE))
def test_the_readmes_commands_exist(command: str) -> None:
    assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0


def test_the_instance_for_production_keeps_everything_in_postgres(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "deploy" / "dagster.yaml", tmp_path)
    name_postgres(database_url, monkeypatch)

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
        assert [type(storage).__name__ for storage in storages] == [
            "PostgresRunStorage",
            "PostgresEventLogStorage",
            "PostgresScheduleStorage",
        ]
        assert not instance.telemetry_enabled
