"""The guide to witnesses: its file loads, and each of its commands succeeds."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import sign_chain_head
from verifywise_mlflow.witnesses.settings import load_witnesses
from verifywise_mlflow_tests.support.audit_chains import KEY, NOW
from verifywise_mlflow_tests.support.documentation import code_blocks, read_page
from verifywise_mlflow_tests.support.trail_entries import append, entry
from verifywise_mlflow_tests.witnesses.timestamp_server import TimestampServer, timestamp_server

PAGE = read_page("how-to/witness-checkpoints.md")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimestampServer]:
    with timestamp_server(tmp_path_factory.mktemp("authority")) as server:
        yield server


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the page."""
    path = tmp_path / "witnesses.yaml"
    path.write_text(code_blocks(PAGE, "yaml")[0])
    monkeypatch.setenv("VERIFYWISE_AUDIT_WITNESSES", str(path))
    monkeypatch.chdir(tmp_path)
    return path


def test_the_file_of_the_page_loads_and_the_page_has_each_setting(example: Path) -> None:
    assert [witness.kind for witness in load_witnesses()] == ["folder", "bucket", "webhook", "timestamp"]
    settings = {name for witness in load_witnesses() for name in type(witness).model_fields} - {"kind"}
    keys = {name for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert settings - keys == set()


def test_each_command_of_the_page_succeeds(
    example: Path, store: Store, database_url: str, authority: TimestampServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    content = yaml.safe_load(example.read_text())
    folder, _, _, timestamp = content["witnesses"]
    folder["directory"] = str(example.parent)
    timestamp |= {"url": authority.url, "roots": str(authority.root), "allow_private_network": True}
    example.write_text(yaml.safe_dump({"witnesses": [folder, timestamp]}))
    Path("public.pem").write_text(KEY.public.pem())
    Path("timestamp-root.pem").write_bytes(authority.root.read_bytes())
    append(store, entry(1))
    with store.begin("acme") as session:
        sign_chain_head(session, KEY, NOW)

    commands = [line for block in code_blocks(PAGE, "console") for line in block.splitlines()]
    assert len(commands) == 7
    for command in commands:
        if command.startswith("verifywise-mlflow "):
            result = CliRunner().invoke(app, shlex.split(command)[1:])
            assert result.exit_code == 0, result.output
        else:
            subprocess.run(["bash", "-c", command], check=True, env=os.environ, capture_output=True)
