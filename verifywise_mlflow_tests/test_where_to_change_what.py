"""The guide for contributors, the table of packages and the glossary send readers to the right files."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import verifywise_mlflow
from verifywise_mlflow_tests.support.documentation import ROOT, read_page

PACKAGE = Path(verifywise_mlflow.__file__).parent
_GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TABLES = _GUIDE.partition("## Where to change what")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (?!to )(.+) \|$", TABLES, re.MULTILINE)
PATH = re.compile(r"[\w./-]+(?:/|\.(?:css|env|md|py|toml|yaml))")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
SUFFIXES = (".css", ".json", ".md", ".py", ".sql", ".yaml")


def test_the_guide_has_a_table_below_each_heading() -> None:
    sections = TABLES.split("\n### ")[1:]

    assert len(ROWS) > 60
    assert len(sections) > 5
    assert [section for section in sections if "\n| to add or change |" not in section] == []


def test_the_command_that_adds_a_revision_finds_the_migrations() -> None:
    scripts = ScriptDirectory.from_config(Config(toml_file=ROOT / "pyproject.toml"))

    assert Path(scripts.dir) == PACKAGE / "persistence" / "migrations"
    assert ".venv/bin/alembic revision --rev-id 0002 " in TABLES


@pytest.mark.parametrize("row", [pytest.param(row, id=row.partition(" |")[0]) for row in ROWS])
def test_the_files_of_a_row_exist_and_contain_the_names_of_the_row(row: str) -> None:
    quoted = re.findall(r"`([^`]+)`", row.partition(" | ")[2])
    paths = {name: _find(name) for name in quoted if PATH.fullmatch(name)}
    names = [name for name in quoted if IDENTIFIER.fullmatch(name) and name not in paths]

    assert [name for name, path in paths.items() if path is None] == []
    words = frozenset[str]().union(*(_words(path) for path in paths.values() if path))
    assert [name for name in names if name.rpartition(".")[2] not in words] == []


def test_the_modules_that_the_glossary_names_exist() -> None:
    named = re.findall(r"`([a-z_]+/[\w./]*\.py)`", read_page("glossary.md"))

    assert len(named) > 20
    assert [path for path in named if not (PACKAGE / path).is_file()] == []


def test_the_decisions_of_defs_act_on_nothing() -> None:
    section = read_page("architecture.md").partition("## Decide")[2].partition("\n## ")[0]
    patterns = re.findall(r"`([\w*]+\.py)`", section)
    paths = [path for pattern in patterns for path in (PACKAGE / "defs").rglob(pattern)]

    assert len(paths) > len(patterns) > 3
    acts = re.compile(r"^(?:import|from) (?:dagster|os|time)\b|\bStore\b|\bnow\(", re.MULTILINE)
    assert [path for path in paths if acts.search(path.read_text(encoding="utf-8"))] == []


def test_the_table_of_packages_is_complete_and_in_the_order_of_the_layers() -> None:
    cells = re.findall(r"^\| (`[^|]+`) \|", read_page("architecture.md").partition("## The stages")[0], re.MULTILINE)
    listed = [name.removesuffix("/").removesuffix(".py") for cell in cells for name in re.findall(r"`([^`]+)`", cell)]

    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert sorted(listed) == sorted(packages | {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"})
    layers = [{listed.index(name) for name in layer} for layer in _layers()]
    assert [pair for pair in pairwise(layers) if max(pair[0]) > min(pair[1])] == []


def _find(name: str) -> Path | None:
    return next((base / name for base in (PACKAGE, ROOT) if (base / name).exists()), None)


@cache
def _words(path: Path) -> frozenset[str]:
    """Return the words of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.suffix in SUFFIXES]
    return frozenset(word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8")))


def _layers() -> list[list[str]]:
    """Return the names of the packages of each layer, as import-linter enforces them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = [item for item in settings["tool"]["importlinter"]["contracts"] if item["type"] == "layers"]
    return [re.findall(r"verifywise_mlflow\.(\w+)", layer) for layer in contract["layers"]]
