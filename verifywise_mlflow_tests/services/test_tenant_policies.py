"""The rules and frameworks that a tenant's settings name."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.compliance.frameworks import own_frameworks
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.services.tenant_policies import InvalidPoliciesError, load_rules
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.support.evaluation_fixtures import rule_yaml, write_policy

FRAMEWORK = """\
name: {name}
edition: first
covers: one clause
source: us
clauses: [{{id: H 1, about: A team., obtainable: {obtainable}, blank: The consent.}}]
"""
TENANTS = """\
defaults: {{compliance: {{framework_files: [{folder}/operator.yaml]}}}}
tenants:
  acme:
    tracking_uri: https://mlflow.acme.example
    compliance:
      default_policy: false
      policies: [{folder}/policy.yaml]
      framework_files: [{folder}/own.yaml]
      frameworks: [House rules]
"""


def load(
    folder: Path, *, own: str = "House rules", referenced: str = "House rules, clause: H 1", obtainable: str = "partly"
) -> RuleSet:
    (folder / "operator.yaml").write_text(FRAMEWORK.format(name="Operator rules", obtainable="supports"))
    (folder / "own.yaml").write_text(FRAMEWORK.format(name=own, obtainable=obtainable))
    write_policy(
        folder / "policy.yaml",
        rule_yaml("named", "model_name != ''").replace("NIST AI RMF, clause: GOVERN 2.1", referenced),
    )
    (folder / "tenants.yaml").write_text(TENANTS.format(folder=folder))
    return load_rules(load_tenants(folder / "tenants.yaml")["acme"])


def test_a_tenants_frameworks_add_to_those_of_the_operator(tmp_path: Path) -> None:
    rules = load(tmp_path)

    assert [framework.name for framework in own_frameworks(rules.catalog)] == ["Operator rules", "House rules"]


@pytest.mark.parametrize(
    ("own", "referenced", "obtainable", "message"),
    [
        ("SR 11-7", "SR 11-7, clause: VI Ownership", "partly", "own.yaml:1: name: this release has a framework"),
        ("operator RULES", "Operator rules, clause: H 1", "partly", "operator.yaml has a framework 'operator RULES'"),
        ("House rules", "House rules, clause: H 2", "partly", "the catalog has no clause 'H 2' of House rules"),
        (
            "House rules",
            "DORA, clause: Art. 1",
            "partly",
            "SR 11-7, Operator rules, House rules: correct the name, or add",
        ),
        ("House rules", "House rules, clause: H 1", "fully", "own.yaml:5: clauses.0.obtainable: Input should be"),
        ("House rules", "House rules, clause: H 1", "not obtainable from MLflow", "shows nothing of House rules H 1"),
    ],
)
def test_an_unusable_framework_or_reference_names_its_place_and_the_remedy(
    tmp_path: Path, own: str, referenced: str, obtainable: str, message: str
) -> None:
    with pytest.raises(InvalidPoliciesError, match="tenant 'acme', compliance: ") as raised:
        load(tmp_path, own=own, referenced=referenced, obtainable=obtainable)

    assert message in str(raised.value)
