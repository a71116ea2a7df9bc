"""The prose checker finds phrases to avoid in prose, and only there."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from verifywise_mlflow_tests.support.documentation import ROOT

WITHOUT_CODE = "Run `tell` now.\n\n```\ntold\n```\n<!-- anew -->\n"


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_prose", ROOT / "tools" / "check_prose.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def find(checker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(checker, "ROOT", tmp_path)

    def violations_in(name: str, text: str) -> list[str]:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return [line.split(": write")[0] for line in checker.violations(tmp_path / name, checker.load_rules())]

    return violations_in


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.md", "One.\nIt is\nanew here.\n", ["a.md:3: “anew”"]),
        ("a.md", "It is so\nmany rows.\n", ["a.md:1: “so many”"]),
        ("a.md", WITHOUT_CODE, []),
        ("a.md", "Told. <!-- prose: ok -->\n", []),
        ("a.py", '"""A module.\n\nIt tells."""\n', ["a.py:3: “tells”"]),
        ("a.py", "x = 1  # read anew\n", ["a.py:1: “anew”"]),
        ("a.py", "x = 1  # read anew  # prose: ok\n", []),
        ("a.py", 'told = "anew"\n', []),
    ],
)
def test_phrases_are_found_in_prose_only(find: object, name: str, text: str, expected: list[str]) -> None:
    assert callable(find)
    assert find(name, text) == expected


def test_each_rule_has_a_pattern_that_compiles_and_an_alternative(checker: ModuleType) -> None:
    rules = checker.load_rules()

    assert len(rules) > 10
    assert all(rule.instead for rule in rules)
