"""The demo's directory: what is resumed, what is removed, and what is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from verifywise_mlflow.demo.errors import DemoError
from verifywise_mlflow.demo.workdir import Ports, Workdir

PORTS = Ports(mlflow=5001, dagster=3001)


@pytest.fixture
def home(tmp_path: Path) -> Workdir:
    return Workdir(tmp_path / ".demo")


def complete(home: Workdir) -> None:
    """Write the files that a complete demo leaves."""
    home.postgres.mkdir(parents=True)
    (home.postgres / "PG_VERSION").write_text("18\n")
    home.artifacts.mkdir()
    home.remember(PORTS)


def test_a_complete_demo_is_resumed_on_its_ports(home: Workdir) -> None:
    complete(home)
    assert home.earlier_ports() == PORTS


@pytest.mark.parametrize("missing", ["postgres/PG_VERSION", "complete.json"])
def test_a_demo_without_database_or_marker_is_not_resumed(home: Workdir, missing: str) -> None:
    complete(home)
    (home.path / missing).unlink()
    assert home.earlier_ports() is None


@pytest.mark.parametrize("mark", ["", "[]", "{}", '{"ports": {"mlflow": 1}}', json.dumps({"layout": 0, "ports": {}})])
def test_an_unknown_marker_is_not_resumed(home: Workdir, mark: str) -> None:
    complete(home)
    (home.path / "complete.json").write_text(mark)
    assert home.earlier_ports() is None


def test_clear_deletes_everything_except_the_lock(home: Workdir) -> None:
    with home.locked():
        assert home.is_new()
        complete(home)
        assert not home.is_new()
        home.clear()
        assert home.is_new()


def test_two_demos_cannot_share_a_folder(home: Workdir) -> None:
    with home.locked(), pytest.raises(DemoError, match="another demo runs"), Workdir(home.path).locked():
        pass
    with home.locked():
        pass


def test_a_folder_with_other_files_is_rejected(home: Workdir) -> None:
    home.path.mkdir()
    (home.path / "thesis.tex").write_text("precious")
    with pytest.raises(DemoError, match="not a demo"), home.locked():
        pass
    assert [path.name for path in home.path.iterdir()] == ["thesis.tex"]
