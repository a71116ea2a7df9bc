"""The sentence next to a verdict: what was found, what was expected and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.policy import Policy
from verifywise_mlflow.compliance.rules.reason_template import ReasonCase
from verifywise_mlflow.compliance.rules.rule import Condition, Rule
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.unread_object import UnreadObject
from verifywise_mlflow_tests.compliance.records import record_with
from verifywise_mlflow_tests.compliance.rules import evaluate, rule_with

EXPECTED = "Expected: A title. What to do: A remedy."
RECORD = record_with(
    owner="me",
    risk_category="tier \n9",
    metrics={"accuracy": 0.9},
    runtime_environment={"reproducible": False},
    dataset_reference=[{"name": "a"}, {"name": "b"}],
    created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("rule", "verdict", "reason"),
    [
        (rule_with('owner == "me"'), Verdict.PASS, "Found: owner is 'me'. This meets the requirement: A title."),
        (rule_with('owner == "you"'), Verdict.FAIL, f"Found: owner is 'me'. {EXPECTED}"),
        (rule_with('code_commit != ""'), Verdict.NOT_EVIDENCED, f"MLflow shows no code_commit. {EXPECTED}"),
        (
            rule_with('code_commit != "" || description != ""'),
            Verdict.NOT_EVIDENCED,
            f"MLflow shows no code_commit or description. {EXPECTED}",
        ),
        (
            rule_with('risk_category == "high"'),
            Verdict.NOT_EVIDENCED,
            "The value 'tier \\n9' of `risk_category` is not recognized, so the rule is undecided. "
            "Use prohibited, high, limited, medium, low or minimal, or add the value to the tenant's `mapping`.",
        ),
        (
            rule_with("runtime_environment.python_version == '3.11'"),
            Verdict.NOT_EVIDENCED,
            f"MLflow shows no runtime_environment.python_version. {EXPECTED}",
        ),
        (
            rule_with("dataset_reference[5].name == 'a'"),
            Verdict.NOT_EVIDENCED,
            f"dataset_reference does not show enough to decide. {EXPECTED}",
        ),
        (
            rule_with("true", applies='data_sensitivity == "personal"'),
            Verdict.NOT_EVIDENCED,
            "It is unknown whether the rule applies. MLflow shows no data_sensitivity. "
            "Record the value in MLflow so that the rule can be decided.",
        ),
        (
            rule_with("true", applies='lifecycle_stage == "production" && data_sensitivity == "personal"'),
            Verdict.NOT_APPLICABLE,
            "The rule does not apply to this version: MLflow shows no lifecycle_stage.",
        ),
        (
            rule_with('owner == "me"', evidenced="version_number > 1"),
            Verdict.NOT_EVIDENCED,
            f"Found: version_number is 1. This does not settle the matter. {EXPECTED}",
        ),
        (
            rule_with('owner == "me"', evidenced='code_commit != ""'),
            Verdict.NOT_EVIDENCED,
            f"MLflow shows no code_commit. {EXPECTED}",
        ),
        (
            rule_with("runtime_environment.reproducible"),
            Verdict.FAIL,
            f"Found: runtime_environment.reproducible is false. {EXPECTED}",
        ),
        (
            rule_with("size(metrics) == 1"),
            Verdict.PASS,
            "Found: metrics has 1 entry ('accuracy': 0.9). This meets the requirement: A title.",
        ),
        (
            rule_with("size(dataset_reference) == 1"),
            Verdict.FAIL,
            f"Found: dataset_reference has 2 entries ('a', 'b'). {EXPECTED}",
        ),
        (
            rule_with("created_at > timestamp('2026-01-01T00:00:00Z')"),
            Verdict.PASS,
            "Found: created_at is 2026-03-01 12:00 UTC. This meets the requirement: A title.",
        ),
        (
            rule_with("size(findings) == 0 && size(incomplete) == 0"),
            Verdict.PASS,
            "Found: no findings, no unread part. This meets the requirement: A title.",
        ),
        (
            rule_with('size(findings_of_kind["deleted run"]) == 0 && size(findings_about.owner) == 0'),
            Verdict.PASS,
            "Found: no findings of the kind deleted run, no findings about owner. This meets the requirement: A title.",
        ),
        (
            rule_with("1 / (version_number - 1) == 1"),
            Verdict.ERROR,
            "The rule could not be evaluated: INVALID_ARGUMENT: divide by zero. "
            "Correct the expression of the rule, or the value that it reads.",
        ),
    ],
)
def test_a_rule_without_sentences_gets_a_generated_one(rule: Rule, verdict: Verdict, reason: str) -> None:
    result = evaluate(rule, RECORD)

    assert (result.verdict, result.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("record", "case"),
    [
        ({"lifecycle_stage": "production", "owner": "me", "metrics": {"a": 1.0}}, ReasonCase.PASS),
        ({"lifecycle_stage": "production", "owner": "you", "metrics": {"a": 1.0}}, ReasonCase.FAIL),
        ({"lifecycle_stage": "production", "owner": "you"}, ReasonCase.NOT_EVIDENCED),
        ({"lifecycle_stage": "production", "metrics": {"a": 1.0}}, ReasonCase.NOT_EVIDENCED),
        ({"lifecycle_stage": "production", "owner": "nobody", "metrics": {"a": 1.0}}, ReasonCase.INCONCLUSIVE),
        ({"owner": "me"}, ReasonCase.NOT_APPLICABLE),
    ],
)
def test_each_outcome_has_the_sentence_that_the_rule_states(record: dict[str, Json], case: ReasonCase) -> None:
    rule = rule_with(
        'owner == "me"',
        applies='lifecycle_stage == "production"',
        evidenced='owner != "nobody" && size(metrics) > 0',
        reasons={case: f"This is {case.value}." for case in ReasonCase},
    )

    assert evaluate(rule, record_with(**record)).reason == f"This is {case.value}."


def test_a_scope_that_depends_on_a_missing_value_has_its_own_sentence() -> None:
    reasons = {ReasonCase.SCOPE_UNKNOWN: "No owner is recorded."}
    rule = rule_with("true", applies="version_number == 1 && owner == 'me'", reasons=reasons)

    assert evaluate(rule, record_with()).reason == "No owner is recorded."


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Owner: {owner}.", "Owner: 'me'."),
        ("Tag: {description}.", "Tag: not recorded."),
        ("Stage: {lifecycle_stage}.", "Stage: not recorded."),
        ("Reproducible: {runtime_environment.reproducible}.", "Reproducible: no."),
        ("Created: {created_at}.", "Created: 2026-03-01 12:00 UTC."),
        ("Metrics: {metrics}.", "Metrics: 'accuracy': 0.9."),
        ("Data: {datasets}.", "Data: 'a', 'b'."),
        ("Accuracy: {metrics.accuracy}.", "Accuracy: 0.9."),
    ],
)
def test_a_sentence_quotes_values_of_the_record(sentence: str, reason: str) -> None:
    read_values = (
        "owner != description || lifecycle_stage == 'a' || created_at == created_at || size(metrics) == 1"
        " || runtime_environment.reproducible || size(dataset_reference) == 2"
    )
    quotes_datasets = "{datasets}" in sentence
    rule = rule_with(
        read_values,
        reason_values={"datasets": "dataset_reference.map(data, data.name)"} if quotes_datasets else {},
        reasons={ReasonCase.PASS: sentence},
    )

    assert evaluate(rule, RECORD).reason == reason


def test_a_long_list_is_quoted_in_part() -> None:
    rule = rule_with(
        "size(dataset_reference) > 9",
        reason_values={"datasets": "dataset_reference.map(data, data.name)"},
        reasons={ReasonCase.FAIL: "Data: {datasets}."},
    )
    record = record_with(dataset_reference=[{"name": name} for name in ("a", "b\n", "c", "d", "e")])

    assert evaluate(rule, record).reason == "Data: 'a', 'b\\n', 'c', 2 more."


def test_a_list_of_any_length_is_quoted_in_part() -> None:
    rule = rule_with(
        "size(dataset_reference) > 9000",
        reason_values={"datasets": "dataset_reference.map(data, data.name)"},
        reasons={ReasonCase.FAIL: "Data: {datasets}."},
    )
    record = record_with(dataset_reference=[{"name": "a"}] * 3_000)

    assert evaluate(rule, record).reason == "Data: 'a', 'a', 'a', 2997 more."


def test_a_value_that_cannot_be_computed_leaves_the_verdict_alone() -> None:
    rule = rule_with(
        'owner == "me"',
        reason_values={"number": "int(owner)"},
        reasons={ReasonCase.FAIL: "Number: {number}."},
    )

    result = evaluate(rule, record_with(owner="("))

    assert (result.verdict, result.reason) == (Verdict.FAIL, "Number: not recorded.")


def test_a_long_value_is_shortened() -> None:
    assert "x…" in evaluate(rule_with('owner == ""'), record_with(owner="x" * 100_000)).reason
    assert len(evaluate(rule_with('owner == ""'), record_with(owner="x" * 100_000)).reason) < 200


def test_only_a_verdict_that_rests_on_an_unread_object_names_it() -> None:
    unread = [
        UnreadObject("files", ("files: HTTP 403",), ("evidence_files",)),
        UnreadObject("run", ("run 12ab: HTTP 404.",), ("owner",)),
    ]

    not_read = evaluate(rule_with('owner != ""'), record_with(), unread)
    met_result = evaluate(rule_with('owner != ""'), record_with(owner="me"), unread)
    missing = evaluate(rule_with('business_purpose != ""'), record_with(), unread)

    assert not_read.reason == (
        "It is unknown whether MLflow shows owner, so the rule is undecided. Part of the record could not be read: run "
        "12ab: HTTP 404. The rule is decided once it can be read."
    )
    assert [result.verdict for result in (not_read, met_result, missing)] == ["not read", "pass", "not evidenced"]
    assert [result.values for result in (not_read, missing)] == [
        {"owner": None, "unread": ["run"]},
        {"business_purpose": None},
    ]
    assert "could not be read" not in met_result.reason + missing.reason


def test_a_rule_that_reads_only_whether_a_value_is_recorded_does_not_quote_the_value() -> None:
    stated = evaluate(rule_with("has(stated.owner)"), record_with(owner="me"))
    quoted = evaluate(rule_with('has(stated.owner) && owner == "me"'), record_with(owner="me"))

    assert stated.reason.startswith("Found: owner is recorded.")
    assert quoted.reason.startswith("Found: owner is 'me'.")


def test_texts_in_a_map_are_escaped_and_shortened_like_any_other_text() -> None:
    hostile: dict[str, Json] = {"a\u202eb": "x\n\x1b[2J" + "y" * 6_000, "c": 0.5}

    result = evaluate(rule_with("size(hyperparameters) > 9"), record_with(hyperparameters=hostile))

    assert result.reason.startswith(r"Found: hyperparameters has 2 entries ('a\u202eb': 'x\n\x1b[2Jyyy")
    assert "…', 'c': 0.5)." in result.reason
    assert len(result.reason) < 300


def test_entries_of_a_list_are_named_by_what_people_know_them_by() -> None:
    files: list[Json] = [{"path": f"{name}.json", "kind": "plot"} for name in ("a", "it's", "c", "d")]

    result = evaluate(rule_with("size(evidence_files) > 9"), record_with(evidence_files=files))

    assert result.reason.startswith("Found: evidence_files has 4 entries ('a.json', \"it's.json\", 'c.json', …).")


@pytest.mark.parametrize(
    ("requires", "state", "start"),
    [
        ('owner != ""', "placeholder", "The version tag 'owner' is 'TBD', a placeholder, which counts as no value."),
        (
            '!(origins.owner.state in ["negative", "failed"])',
            "negative",
            "The version tag 'owner' is 'TBD', a negation, which counts as no value. Found: origins.owner.state is",
        ),
        ('origins.owner.state == "generic"', "placeholder", "Found: origins.owner.state is 'placeholder'"),
    ],
)
def test_a_reason_names_the_text_that_is_no_value(requires: str, state: str, start: str) -> None:
    policy = Policy(id="ours", version=1, title="A policy", rules=(rule_with(requires),))
    origin = {"source": "version tag", "key": "owner", "raw": "TBD", "state": state}

    (result,) = Evaluator(policy).evaluate(record_with(), origins={"owner": origin})

    assert result.verdict is not Verdict.PASS
    assert result.reason.startswith(start)
    assert '"raw":"TBD"' in result.origins_json


IS_OTHERS = Condition(holds='owner != "me"', otherwise="fail", reason="The owner {owner} is me.")
IS_LATER = Condition(holds="version_number > 1", otherwise="not evidenced", reason="It is the first version.")
IS_COMMITTED = Condition(holds='code_commit != ""', otherwise="fail", reason="There is no commit.")
HOLDS = Condition(holds="version_number == 1", otherwise="fail", reason="It is a later version.")


@pytest.mark.parametrize(
    ("conditions", "requires", "verdict", "reason"),
    [
        pytest.param((HOLDS,), 'owner == "me"', Verdict.PASS, "A pass.", id="all hold"),
        pytest.param((HOLDS,), 'owner == "you"', Verdict.FAIL, "A failure.", id="what is required is false"),
        pytest.param(
            (HOLDS, IS_LATER, IS_OTHERS),
            'owner == "me"',
            Verdict.FAIL,
            "It is the first version. The owner 'me' is me. A failure.",
            id="a failure outweighs missing evidence, and all that is false is named",
        ),
        pytest.param(
            (IS_LATER,),
            'owner == "you"',
            Verdict.NOT_EVIDENCED,
            "It is the first version. It is open.",
            id="missing evidence outweighs what is required",
        ),
        pytest.param(
            (IS_COMMITTED, IS_LATER),
            'owner == "me"',
            Verdict.NOT_EVIDENCED,
            "It is the first version. It is open.",
            id="false and unknown",
        ),
        pytest.param(
            (IS_COMMITTED,),
            'owner == "me"',
            Verdict.NOT_EVIDENCED,
            f"MLflow shows no code_commit. {EXPECTED}",
            id="unknown",
        ),
        pytest.param(
            (IS_OTHERS,), 'code_commit != ""', Verdict.FAIL, "The owner 'me' is me. A failure.", id="unknown, failed"
        ),
        pytest.param((IS_LATER,), 'code_commit != ""', Verdict.NOT_EVIDENCED, "Nothing.", id="nothing to judge"),
    ],
)
def test_a_reason_names_each_condition_that_is_false(
    conditions: tuple[Condition, ...], requires: str, verdict: Verdict, reason: str
) -> None:
    reasons = {
        ReasonCase.PASS: "A pass.",
        ReasonCase.FAIL: "A failure.",
        ReasonCase.INCONCLUSIVE: "It is open.",
        ReasonCase.NOT_EVIDENCED: "Nothing.",
    }

    result = evaluate(rule_with(requires, conditions=conditions, reasons=reasons), RECORD)

    assert (result.verdict, result.reason) == (verdict, reason)


def test_the_sentence_of_a_condition_suffices_as_a_reason() -> None:
    assert evaluate(rule_with("true", conditions=(IS_OTHERS,)), RECORD).reason == "The owner 'me' is me."
