"""The wheel contains everything that the package reads, the console script, and nothing else."""

from __future__ import annotations

import re
import zipfile
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from tools.release.contents import PACKAGE, wheel_files, wheel_metadata
from verifywise_mlflow.cli import app
from verifywise_mlflow_tests.support.documentation import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the tree as it is, built by the installed build backend in this process."""
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def in_wheel(wheel: Path) -> frozenset[str]:
    return frozenset(wheel_files(wheel))


def tree(pattern: str) -> set[str]:
    """Return the paths of the package's files that match a pattern."""
    found = (path for path in (ROOT / PACKAGE).glob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


@pytest.fixture(scope="module")
def distribution(wheel: Path) -> Distribution:
    name, version = wheel.name.split("-")[:2]
    return PathDistribution(zipfile.Path(wheel) / f"{name}-{version}.dist-info")


def test_it_holds_the_files_of_the_package_its_metadata_and_nothing_else(wheel: Path, in_wheel: frozenset[str]) -> None:
    assert in_wheel == tree("**/*") | wheel_metadata(wheel)


@pytest.mark.parametrize(
    "pattern",
    [
        "compliance/policies/**/*.yaml",
        "compliance/frameworks/*.yaml",
        "compliance/*.yaml",
        "normalizer/mapping/*.yaml",
        "persistence/migrations/versions/**/*.sql",
        "persistence/migrations/versions/**/*.py",
        "persistence/migrations/*.mako",
        "py.typed",
    ],
)
def test_it_holds_each_kind_of_data(pattern: str, in_wheel: frozenset[str]) -> None:
    expected = tree(pattern)

    assert expected, "nothing in the tree matches the pattern any longer"
    assert expected <= in_wheel


def test_it_holds_each_file_byte_by_byte(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as zipped:
        differing = [path for path in tree("**/*") if zipped.read(path) != (ROOT / path).read_bytes()]

    assert differing == []


def test_it_holds_no_test_and_nothing_that_python_or_an_editor_left_behind(in_wheel: frozenset[str]) -> None:
    stray = re.compile(r"(^|/)(test_|conftest|\.)|\.(pyc|orig|rej|swp|bak)$|~$")

    assert [path for path in in_wheel if stray.search(path)] == []


def test_no_module_of_the_package_imports_what_is_not_in_the_wheel() -> None:
    outside = re.compile(r"^\s*(?:from|import) (verifywise_mlflow_tests|benchmarks|tools)\b", re.MULTILINE)

    importers = [path for path in tree("**/*.py") if outside.search((ROOT / path).read_text(encoding="utf-8"))]

    assert importers == []


def test_the_console_script_is_the_command_line(distribution: Distribution) -> None:
    (script,) = distribution.entry_points

    assert (script.group, script.name) == ("console_scripts", "verifywise-mlflow")
    assert script.load() is app
