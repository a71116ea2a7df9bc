"""What docs/compliance.md says is so."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.compliance.badge import MODEL_RULE, VERSION_RULE
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.input_hash import LONGEST_KEPT
from verifywise_mlflow.compliance.rules.cel_expression import compiled
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.compliance.waivers import load_waivers
from verifywise_mlflow.normalizer.findings import FINDING_KINDS
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Compliance
from verifywise_mlflow_tests.compliance.records import record_with

PAGE = (Path(__file__).parents[2] / "docs" / "compliance.md").read_text(encoding="utf-8")
RULE, TENANTS, WAIVERS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    line.split(" > ")[0].partition("  #")[0]
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


def test_its_tenant_is_one_and_says_all_that_can_be_said_of_compliance(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(TENANTS)

    compliance = load_tenants(path)["acme"].compliance

    assert compliance.model_fields_set == set(Compliance.model_fields)


def test_its_waivers_are_some(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(WAIVERS)

    (waiver,) = load_waivers(path, "acme", is_own=False)

    assert waiver.covers("owner", "pilot-a", 3)


def test_its_expressions_are_some_and_its_kinds_all_there_are() -> None:
    for text in yaml.safe_load(RULE).values():
        compiled(text)
    for text in re.findall(r"`([^`]*(?:thresholds\.most)[^`]*)`", PAGE):
        compiled(text)
    listed = PAGE.split("The kinds are: ")[1].split(".\n")[0]
    assert tuple(re.findall(r"`([^`]+)`", listed)) == FINDING_KINDS


def test_its_recipe_gives_the_hash_of_every_verdict() -> None:
    (recipe,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Callable[..., str]] = {}
    exec(recipe, {"json": json, "hashlib": hashlib}, names)  # our own page
    policy = default_policy()

    results = Evaluator(policy).evaluate(record_with(owner="Zoë", lifecycle_stage="production", metrics={"a": 0.5}))

    assert results
    for rule, result in zip(policy.rules, results, strict=True):
        told = rule.model_dump(mode="json")
        assert names["input_hash"](told, result.values, result.thresholds, None) == result.input_hash
    assert f"{LONGEST_KEPT:,} bytes" in PAGE


def test_it_states_the_rules_of_the_badges_as_the_badges_do() -> None:
    said = " ".join(PAGE.split())

    for rule in (VERSION_RULE, MODEL_RULE):
        assert rule.partition(": ")[2] or rule
        assert all(part in said for part in rule.removeprefix("the ").split(". "))


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_understood(command: str) -> None:
    program, *arguments = shlex.split(command)

    result = CliRunner(env={"VERIFYWISE_TENANTS": "", "VERIFYWISE_DATABASE_URL": ""}).invoke(app, arguments)

    assert program == "verifywise-mlflow"
    # Without a database or a tenants.yaml none can be carried out, but each is read: typer's own errors say "Usage".
    assert "Usage" not in result.output
    assert result.exit_code in (1, 2)
