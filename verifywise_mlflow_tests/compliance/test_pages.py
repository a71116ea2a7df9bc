"""The pages on policies and frameworks match the default policy and the catalog."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.compliance.coverage import ClauseState, VersionEvidence
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.frameworks import own_frameworks
from verifywise_mlflow.compliance.rules.policy import load_policy
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.compliance.pages import PARTS
from verifywise_mlflow_tests.support.documentation import code_blocks, generated_part, read_page

GUIDE = read_page("how-to/write-a-policy.md")
FRAMEWORKS = read_page("reference/frameworks.md")


@pytest.mark.parametrize("name", PARTS)
def test_each_generated_table_is_current(name: str) -> None:
    page, lines = PARTS[name]

    # To update it: python -m verifywise_mlflow_tests.compliance.pages
    assert generated_part(read_page(page), name).splitlines() == list(lines())


def test_the_examples_of_the_policy_in_the_guide_hold(tmp_path: Path) -> None:
    head, part, _tenants = code_blocks(GUIDE, "yaml")
    (tmp_path / "acme.yaml").write_text(head)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "lineage.yaml").write_text(part)

    policy = load_policy(tmp_path / "acme.yaml")

    for rule in policy.rules:
        for example in rule.examples:
            results = {
                rule_result.rule_id: rule_result.verdict
                for rule_result in Evaluator(policy).evaluate(example.canonical_record())
            }
            assert results[rule.id] == example.verdict


def test_the_page_explains_each_state_of_a_clause_and_each_evidence_of_a_version() -> None:
    for word in (*ClauseState, *VersionEvidence):
        assert f"| `{word}` |" in FRAMEWORKS


@pytest.mark.parametrize("command", re.findall(r"^verifywise-mlflow (frameworks(?: --[\w ']+)?)$", FRAMEWORKS, re.M))
def test_the_commands_of_the_page_that_need_no_database_run(command: str) -> None:
    arguments = [argument.strip("'") for argument in re.findall(r"'[^']*'|\S+", command)]

    assert CliRunner().invoke(app, arguments).exit_code == 0


def test_the_page_has_such_commands() -> None:
    assert len(re.findall(r"^verifywise-mlflow frameworks", FRAMEWORKS, re.M)) == 8


def test_the_guide_to_frameworks_adds_one_that_a_rule_of_a_tenant_refers_to(tmp_path: Path) -> None:
    framework, policy, tenants = code_blocks(read_page("how-to/add-a-framework.md"), "yaml")
    (tmp_path / "house.yaml").write_text(framework)
    (tmp_path / "acme-dora.yaml").write_text(framework.replace("House rules", "DORA"))
    (tmp_path / "acme.yaml").write_text(policy)
    (tmp_path / "tenants.yaml").write_text(tenants.replace("/etc/verifywise", str(tmp_path)))

    check = CliRunner().invoke(
        app, ["policy", "check", str(tmp_path / "acme.yaml"), "--framework", str(tmp_path / "house.yaml")]
    )
    rules = load_rules(load_tenants(tmp_path / "tenants.yaml")["acme"])

    assert (check.exit_code, check.output.count("passed")) == (0, 1)
    assert [framework.name for framework in own_frameworks(rules.catalog)] == ["House rules", "DORA"]
    (reference,) = rules.rules[-1].references
    assert reference.citation == "House rules § 3, confidence high; applicable from 2026-01-01 (decision of the board)"
