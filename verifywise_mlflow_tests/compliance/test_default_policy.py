"""The policy that comes with the package. Each rule's examples, which stand beside it, are its test."""

from __future__ import annotations

import re
from datetime import date
from itertools import product

import pytest

from verifywise_mlflow.cli.commands.show import GROUPS
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.frameworks import catalogue
from verifywise_mlflow.compliance.rules.cel_expression import compiled
from verifywise_mlflow.compliance.rules.policy import Example, Policy, Rule, default_policy
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict

RULES = default_policy().rules


def judged(rule: Rule, example: Example) -> RuleResult:
    """Judge an example by one rule, with the policy's figures."""
    alone = Policy(id="alone", version=1, title="One rule", thresholds=default_policy().thresholds, rules=(rule,))
    (judgement,) = Evaluator(alone, today=example.today).judge(example.subject())
    return judgement.result()


@pytest.mark.parametrize(
    ("rule", "example"),
    [
        pytest.param(rule, example, id=f"{rule.id}-{number}-{example.verdict}")
        for rule in RULES
        for number, example in enumerate(rule.examples, start=1)
    ],
)
def test_a_rule_gives_the_verdicts_of_its_examples(rule: Rule, example: Example) -> None:
    result = judged(rule, example)

    assert result.verdict == example.verdict, result.reason


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_has_examples_of_meeting_it_and_of_missing_evidence(rule: Rule) -> None:
    assert {Verdict.PASS, Verdict.NOT_EVIDENCED} <= {example.verdict for example in rule.examples}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_examples_show_every_verdict_that_a_rule_can_give(rule: Rule) -> None:
    """Values of one example are put together with those of others, in all ways: none gives a verdict that is new."""
    shown: dict[str, list[object]] = {}
    for example in rule.examples:
        for field, value in example.record.items():
            known = shown.setdefault(field, [None])
            if value not in known:
                known.append(value)
    around = list({(one.findings, one.incomplete, one.today) for one in rule.examples})

    mixed = {
        judged(
            rule,
            Example.model_construct(
                record=dict(zip(shown, values, strict=True)),
                findings=findings,
                incomplete=incomplete,
                today=today,
                verdict=Verdict.PASS,
            ),
        ).verdict
        for values in product(*shown.values())
        for findings, incomplete, today in around
    }

    assert mixed <= {example.verdict for example in rule.examples}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_word_in_a_rule_decides_one_of_its_examples(rule: Rule) -> None:
    """A word that is misspelt, or that the record has never held, is seen: without it an example must go wrong."""
    for field in ("applies", "evidenced", "requires"):
        text = getattr(rule, field)
        for word in (one for one in re.finditer(r'"([^"]*)"', text) if one[1]):
            other = rule.model_copy(update={field: f"{text[: word.start(1)]}9h{text[word.end(1) :]}"})

            held = [judged(other, example).verdict == example.verdict for example in rule.examples]

            assert not all(held), f"no example of {rule.id} needs {word[0]} in {field}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_without_an_example_of_failing_says_that_it_does_not_fail(rule: Rule) -> None:
    if Verdict.FAIL not in {example.verdict for example in rule.examples}:
        assert any(words in rule.rationale for words in ("cannot fail", "no failure")), rule.id


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_an_empty_record_fails_no_rule(rule: Rule) -> None:
    # That MLflow does not show something does not show that it was not done.
    nothing = Example(today=date(2026, 3, 9), verdict=Verdict.PASS)
    in_production = nothing.model_copy(update={"record": {"lifecycle_stage": "production"}})

    for example in (nothing, in_production):
        assert judged(rule, example).verdict is not Verdict.FAIL


def test_it_holds_these_rules() -> None:
    assert [rule.id for rule in RULES] == [
        *("owner", "business-purpose", "description", "visible-in-search", "complete-record"),
        *("source-location", "production-deployment-status", "dangling-alias"),
        *("training-finished", "production-baseline-metrics", "subgroup-metrics", "evaluation-evidence"),
        *("recent-training",),
        *("code-commit", "source-unmodified", "training-entrypoint"),
        *("dataset-reference", "dataset-digest", "production-lineage", "training-run-kept"),
        *("high-risk-category", "prohibited-practice", "data-sensitivity"),
        *("production-privacy-assessment", "production-approver", "production-security-assessment"),
        *("consistent-risk-tags", "no-secrets"),
        *("artifact-integrity", "model-signature", "hashed-artifacts", "safe-serialization"),
        *("reproducible-environment", "pinned-packages", "input-schema"),
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_uses_no_pattern_with_a_bound_or_on_each_of_many_values(rule: Rule) -> None:
    # The library compiles a pattern at each call: on twelve metrics one took a millisecond.
    for text in (rule.applies, rule.evidenced, rule.requires):
        assert not re.search(r"(exists|all|filter|map)\([^)]*\.matches\(|\.matches\([^)]*\{", text)


@pytest.mark.parametrize("path", ["weights/part.safetensors", "weights/part.txt", "weights/part.weights"])
def test_a_model_of_as_many_files_as_are_listed_is_judged_by_each_rule(path: str) -> None:
    # The library stops macros at 10,000 elements; a tenant's default is to list 2,000 files of a version.
    file = {"root": "model", "path": path, "kind": "model binary", "sha256": "ab"}
    manifest: dict[str, object] = {"status": "complete", "file_count": 2_000, "files": [file] * 2_000, "digest": "ab"}
    large = Example.model_validate(
        {"record": {"lifecycle_stage": "production", "artifact_manifest": manifest}, "verdict": "pass"}
    )

    assert [rule.id for rule in RULES if judged(rule, large).verdict is Verdict.ERROR] == []


def test_each_group_of_the_record_is_asked_about() -> None:
    asked = {path[0] for rule in RULES for text in (rule.evidenced, rule.requires) for path in compiled(text).paths}

    assert [group for group, fields in GROUPS.items() if not asked & set(fields)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_refers_to_a_clause_whose_evidence_is_rules(rule: Rule) -> None:
    # What the keeping of records shows needs no verdict on a version, and gets none.
    for reference in rule.references:
        assert catalogue()[reference.framework].by_id[reference.clause].shown_by == "rules"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_reference_to_a_law_has_the_catalogues_date_and_its_source(rule: Rule) -> None:
    for reference in rule.references:
        application = catalogue()[reference.framework].application_of(
            catalogue()[reference.framework].by_id[reference.clause]
        )
        dated = (application.applicable_from, application.source) if application else (None, None)
        assert (reference.applicable_from, reference.source) == dated


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_rule_claims_the_article_on_operating_logs(rule: Rule) -> None:
    # Article 12 asks for the event logs of the running system; MLflow has none of them.
    assert not any(reference.clause.startswith("Art. 12") for reference in rule.references)
