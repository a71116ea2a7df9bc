"""The policy that comes with the package. The examples of each rule are its test."""

from __future__ import annotations

import re
from datetime import date
from importlib.resources import files
from itertools import product
from pathlib import Path

import pytest

from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.frameworks import Obtainable, shipped_catalog
from verifywise_mlflow.compliance.policy_check import alone, evaluate_example
from verifywise_mlflow.compliance.rules.policy import Example, Rule, default_policy, load_policy
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.normalizer.findings import FINDING_KINDS
from verifywise_mlflow.normalizer.record import FIELDS_BY_GROUP

RULES = default_policy(with_examples=True).rules


def evaluated(rule: Rule, example: Example) -> RuleResult:
    """Return the result of one rule on an example, with the policy's thresholds."""
    return evaluate_example(default_policy(), rule, example)


@pytest.mark.parametrize(
    ("rule", "example"),
    [
        pytest.param(rule, example, id=f"{rule.id}-{number}-{example.verdict}")
        for rule in RULES
        for number, example in enumerate(rule.examples, start=1)
    ],
)
def test_a_rule_gives_the_verdicts_of_its_examples(rule: Rule, example: Example) -> None:
    result = evaluated(rule, example)

    assert result.verdict == example.verdict, result.reason


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_has_examples_of_a_pass_and_of_missing_evidence(rule: Rule) -> None:
    verdicts = {example.verdict for example in rule.examples}

    assert Verdict.PASS in verdicts
    assert verdicts & {Verdict.NOT_EVIDENCED, Verdict.NOT_READ}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_examples_contain_every_verdict_that_a_rule_can_give(rule: Rule) -> None:
    """Combine the values of all examples in all ways: no combination gives a verdict that no example has."""
    values_of: dict[str, list[object]] = {}
    for example in rule.examples:
        for field, value in example.record.items():
            values = values_of.setdefault(field, [None])
            if value not in values:
                values.append(value)
    contexts = list(
        {
            canonical_json(context): context
            for example in rule.examples
            for context in [
                example.model_dump(
                    mode="json",
                    include={
                        "findings",
                        "unread",
                        "today",
                        "origins",
                        "thresholds",
                        "model_versions",
                        "environment_facts",
                    },
                )
            ]
        }.values()
    )

    verdicts = {example.verdict for example in rule.examples}
    possible = set(Verdict) - {Verdict.ERROR}
    if not any(example.unread for example in rule.examples):
        possible.remove(Verdict.NOT_READ)
    records = (
        [dict(example.record) for example in rule.examples]
        if possible <= verdicts  # only an error could be found
        else [dict(zip(values_of, combination, strict=True)) for combination in product(*values_of.values())]
    )

    given = set()
    for context in contexts:
        example = Example.model_validate({**context, "verdict": Verdict.PASS})
        evaluator = Evaluator(alone(default_policy(), rule, example.thresholds), today=example.today)
        for record in records:
            (evaluation,) = evaluator.evaluate_subject(example.model_copy(update={"record": record}).subject())
            given.add(evaluation.result().verdict)

    assert given <= verdicts


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_string_in_a_rule_decides_one_of_its_examples(rule: Rule) -> None:
    """Changing a string must break an example: this detects strings that are misspelled or that no record contains."""
    for place, expression in rule.expressions.items():
        text = expression.text
        for string in (match for match in re.finditer(r'"([^"]*)"', text) if match[1]):
            other = "not ready" if string[1] in FINDING_KINDS else "9h"  # an unknown kind would be refused
            changed = _with_expression(rule, place, f"{text[: string.start(1)]}{other}{text[string.end(1) :]}")

            is_unchanged = (evaluated(changed, example).verdict == example.verdict for example in rule.examples)

            assert not all(is_unchanged), f"no example of {rule.id} needs {string[0]} in {place}"


def _with_expression(rule: Rule, place: tuple[str | int, ...], text: str) -> Rule:
    if place[0] != "conditions":
        return rule.model_copy(update={str(place[0]): text})
    conditions = list(rule.conditions)
    index = int(place[1])
    conditions[index] = conditions[index].model_copy(update={"holds": text})
    return rule.model_copy(update={"conditions": tuple(conditions)})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_rationale_of_a_rule_that_cannot_fail_says_so(rule: Rule) -> None:
    if Verdict.FAIL not in {example.verdict for example in rule.examples}:
        assert any(phrase in rule.rationale for phrase in ("cannot fail", "no failure")), rule.id


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_an_empty_record_fails_no_rule(rule: Rule) -> None:
    # That MLflow does not show something does not show that it was not done.
    empty_example = Example(today=date(2026, 3, 9), verdict=Verdict.PASS)
    in_production = empty_example.model_copy(update={"record": {"lifecycle_stage": "production"}})

    for example in (empty_example, in_production):
        assert evaluated(rule, example).verdict is not Verdict.FAIL


def test_every_expression_of_the_default_policy_is_valid_although_none_is_compiled_when_it_is_loaded() -> None:
    path = Path(str(files("verifywise_mlflow.compliance") / "policies" / "default.yaml"))
    assert load_policy(path).digest == default_policy().digest


def test_the_default_policy_has_these_rules() -> None:
    assert [rule.id for rule in RULES] == [
        *("owner", "business-purpose", "description", "visible-in-search", "complete-record"),
        *("production-deployment-status", "dangling-alias", "known-and-consistent-stage"),
        *("one-production-version", "superseded-version", "champion-is-challenged"),
        *("training-finished", "production-baseline-metrics", "subgroup-metrics", "evaluation-evidence"),
        *("recent-training",),
        *("code-commit", "source-unmodified", "training-entrypoint"),
        *("dataset-reference", "dataset-digest", "production-lineage", "training-run-kept", "evaluation-data-differs"),
        *("high-risk-category", "prohibited-practice", "data-sensitivity", "consistent-risk-tags", "no-secrets"),
        *("production-approver", "independent-validation"),
        *("production-privacy-assessment", "fundamental-rights-assessment", "human-oversight"),
        *("production-security-assessment", "monitoring-evidence"),
        *("base-model", "base-model-license", "pinned-prompts", "evaluation-dataset"),
        *("assessed-outputs", "judged-outputs", "safety-evaluation"),
        *("artifact-integrity", "model-signature", "hashed-artifacts", "safe-serialization"),
        *("reproducible-environment", "pinned-packages", "input-schema", "model-card"),
        *("known-vulnerabilities", "end-of-life"),
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_uses_no_pattern_with_a_repetition_count_or_on_each_of_many_values(rule: Rule) -> None:
    # The library compiles a pattern at each call: on twelve metrics, a pattern took a millisecond.
    for text in (expression.text for expression in rule.expressions.values()):
        assert not re.search(r"(exists|all|filter|map)\([^)]*\.matches\(|\.matches\([^)]*\{", text)


@pytest.mark.parametrize("path", ["weights/part.safetensors", "weights/part.txt", "weights/part.weights"])
def test_each_rule_can_be_evaluated_on_a_model_with_the_maximum_number_of_files(path: str) -> None:
    # The library stops macros at 10,000 elements; a tenant's default is to list 2,000 files of a version.
    file = {"root": "model", "path": path, "kind": "model binary", "sha256": "ab"}
    manifest: dict[str, object] = {"status": "complete", "file_count": 2_000, "files": [file] * 2_000, "digest": "ab"}
    large = Example.model_validate(
        {"record": {"lifecycle_stage": "production", "artifact_manifest": manifest}, "verdict": "pass"}
    )

    assert [rule.id for rule in RULES if evaluated(rule, large).verdict is Verdict.ERROR] == []


def test_each_group_of_the_record_is_read_by_a_rule() -> None:
    read_fields = {
        path[0]
        for rule in RULES
        for place, expression in rule.expressions.items()
        if place != ("applies",)
        for path in expression.paths
    }

    assert [group for group, fields in FIELDS_BY_GROUP.items() if not read_fields & set(fields)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_refers_only_to_clauses_whose_evidence_is_rules(rule: Rule) -> None:
    # If the stored records are the evidence for a clause, the clause needs no verdict on a version.
    for reference in rule.references:
        clause = shipped_catalog()[reference.framework].by_id[reference.clause]
        assert clause.obtainable is not Obtainable.SUPPORTS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_reference_to_a_law_has_the_date_and_source_of_the_catalog(rule: Rule) -> None:
    for reference in rule.references:
        application = shipped_catalog()[reference.framework].application_date_of(
            shipped_catalog()[reference.framework].by_id[reference.clause]
        )
        dated = (application.applicable_from, application.cited_source) if application else (None, None)
        assert (reference.applicable_from, reference.source) == dated


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_rule_refers_to_the_article_on_operating_logs(rule: Rule) -> None:
    # Article 12 requires event logs of the running system; MLflow has none.
    assert not any(reference.clause.startswith("Art. 12") for reference in rule.references)
