"""docs/policies.md and docs/frameworks.md tell what the policy and the catalogue say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.compliance.coverage import Standing, State
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.policy import load_policy
from verifywise_mlflow_tests.compliance.pages import DOCS, PARTS, between

POLICIES = (DOCS / "policies.md").read_text(encoding="utf-8")
FRAMEWORKS = (DOCS / "frameworks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PARTS)
def test_a_table_of_the_pages_is_what_the_files_say(name: str) -> None:
    page, lines = PARTS[name]

    # To mend it: python -m verifywise_mlflow_tests.compliance.pages
    assert between((DOCS / page).read_text(encoding="utf-8"), name).splitlines() == list(lines())


def test_the_policy_in_the_page_is_one_whose_examples_hold(tmp_path: Path) -> None:
    head, part = re.findall(r"```yaml\n(.*?)```", POLICIES, re.DOTALL)
    (tmp_path / "acme.yaml").write_text(head)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "lineage.yaml").write_text(part)

    policy = load_policy(tmp_path / "acme.yaml")

    for rule in policy.rules:
        for example in rule.examples:
            results = {one.rule_id: one.verdict for one in Evaluator(policy).evaluate(example.canonical_record())}
            assert results[rule.id] == example.verdict


def test_the_page_explains_each_state_of_a_clause_and_each_standing_of_a_version() -> None:
    for word in (*State, *Standing):
        assert f"| `{word}` |" in FRAMEWORKS


@pytest.mark.parametrize("command", re.findall(r"^verifywise-mlflow (frameworks(?: --[\w ']+)?)$", FRAMEWORKS, re.M))
def test_the_commands_of_the_page_that_need_no_database_run(command: str) -> None:
    arguments = [one.strip("'") for one in re.findall(r"'[^']*'|\S+", command)]

    assert CliRunner().invoke(app, arguments).exit_code == 0


def test_the_page_has_such_commands() -> None:
    assert len(re.findall(r"^verifywise-mlflow frameworks", FRAMEWORKS, re.M)) == 4
