"""``--version`` names the installed release and, for an editable installation, the code that really runs."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.version_option import describe_commit, editable_checkout


def test_it_prints_the_installed_version_and_runs_no_command() -> None:
    result = CliRunner().invoke(app, ["--version"])

    assert result.exit_code == 0
    assert result.stdout.startswith(f"verifywise-mlflow {version('verifywise-mlflow')}")
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("direct_url", "checkout"),
    [
        (None, None),
        ('{"url": "file:///dist/package.whl", "archive_info": {}}', None),
        ('{"url": "file:///home/ada/my%20checkout", "dir_info": {}}', None),
        ('{"url": "file:///home/ada/my%20checkout", "dir_info": {"editable": true}}', Path("/home/ada/my checkout")),
    ],
)
def test_an_editable_installation_is_recognized(direct_url: str | None, checkout: Path | None) -> None:
    assert editable_checkout(direct_url) == checkout


def test_a_checkout_is_described_by_its_tag_its_commits_and_its_changes(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgSign=false")
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "--message", "Start")
    git("tag", "v1.0.0")
    at_the_tag = describe_commit(tmp_path)
    git("commit", "--allow-empty", "--message", "Continue")
    (tmp_path / "file").write_text("2")

    assert at_the_tag == "v1.0.0"
    assert describe_commit(tmp_path).startswith("v1.0.0-1-g")
    assert describe_commit(tmp_path).endswith("-dirty")


def test_a_folder_without_git_has_no_known_commit(tmp_path: Path) -> None:
    assert describe_commit(tmp_path) == "an unknown commit"
