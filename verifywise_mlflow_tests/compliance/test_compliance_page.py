"""The pages on verdicts, policies and waivers match the code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from verifywise_mlflow.common.waiver_limits import WaiverLimits
from verifywise_mlflow.compliance.badge import MODEL_RULE, VERSION_RULE
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.input_hash import MAX_VALUE_BYTES
from verifywise_mlflow.compliance.policy_check import check_policy
from verifywise_mlflow.compliance.rules.cel_expression import compile_expression
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.compliance.rules.ruleset import merge_policies
from verifywise_mlflow.compliance.waivers import load_waivers
from verifywise_mlflow.normalizer.findings import FINDING_KINDS
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Compliance
from verifywise_mlflow_tests.compliance.records import record_with
from verifywise_mlflow_tests.support.documentation import code_blocks, read_page

VERDICTS = read_page("reference/verdicts.md")
POLICIES = read_page("reference/policies.md")
BLOCKS = code_blocks(POLICIES, "yaml")
SWITCHES, *LEVELS = [block for block in BLOCKS if block.startswith("tenants:")]
(RULE_WITH_CONDITIONS,) = [block for block in BLOCKS if block.startswith("rules:")]
EXPRESSIONS = [block for block in BLOCKS if block not in (SWITCHES, *LEVELS, RULE_WITH_CONDITIONS)]
WAIVERS, WAIVER_LIMITS = code_blocks(read_page("how-to/waivers.md"), "yaml")
*_, TENANTS = code_blocks(read_page("how-to/write-a-policy.md"), "yaml")


def test_the_tenant_in_the_guide_loads_and_has_every_compliance_setting(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(TENANTS)

    compliance = load_tenants(path)["acme"].compliance

    assert compliance.model_fields_set == set(Compliance.model_fields)


def test_the_waivers_in_the_guide_load(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(WAIVERS)

    (waiver,) = load_waivers(path, "acme", is_own=False)

    assert waiver.covers("owner", "pilot-a", 3)


def test_the_limits_in_the_guide_load_and_have_the_defaults_that_it_states(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(WAIVER_LIMITS)

    limits = load_tenants(path)["acme"].compliance.waiver_limits

    assert limits.model_fields_set == set(WaiverLimits.model_fields)
    assert limits.model_copy(update={"approvers": None}) == WaiverLimits()


def test_the_expressions_compile_and_every_kind_of_finding_is_listed() -> None:
    for block in EXPRESSIONS:
        for text in yaml.safe_load(block).values():
            compile_expression(text)
    for text in re.findall(r"`([^`]*(?:thresholds\.most)[^`]*)`", POLICIES):
        compile_expression(text)
    listed = POLICIES.split("The kinds are: ")[1].split(".\n")[0]
    assert tuple(re.findall(r"`([^`]+)`", listed)) == FINDING_KINDS


def test_the_rule_with_conditions_gives_the_verdicts_of_its_examples(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(f"id: ours\nversion: 1\ntitle: Ours\n{RULE_WITH_CONDITIONS}")

    assert check_policy(path).failures == ()


@pytest.mark.parametrize("tenants", [SWITCHES, *LEVELS])
def test_the_thresholds_of_a_tenant_on_the_page_are_valid(tmp_path: Path, tenants: str) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(tenants)

    thresholds = load_tenants(path)["acme"].compliance.thresholds

    assert merge_policies([default_policy()], thresholds).thresholds.items() >= thresholds.items()


def test_the_recipe_reproduces_the_hash_of_every_verdict() -> None:
    (recipe,) = code_blocks(VERDICTS, "python")
    names: dict[str, Callable[..., str]] = {}
    exec(recipe, {"json": json, "hashlib": hashlib}, names)  # our own page
    policy = default_policy()

    results = Evaluator(policy).evaluate(record_with(owner="Zoë", lifecycle_stage="production", metrics={"a": 0.5}))

    assert results
    for rule, result in zip(policy.rules, results, strict=True):
        document = rule.model_dump(mode="json")
        assert names["input_hash"](document, result.values, result.thresholds, None) == result.input_hash
    assert f"{MAX_VALUE_BYTES:,} bytes" in VERDICTS


def test_the_page_states_the_rules_of_the_badges() -> None:
    text = " ".join(VERDICTS.split())

    for rule in (VERSION_RULE, MODEL_RULE):
        assert rule.partition(": ")[2] or rule
        assert all(part in text for part in rule.removeprefix("the ").split(". "))
