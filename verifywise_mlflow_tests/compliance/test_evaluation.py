"""Verdicts on records: what is said beside them, and that no record can make the evaluator raise."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.input_hash import LONGEST_KEPT, input_hash_of, rule_digest
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.policy import Policy, Reference, Rule, Severity, default_policy
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.normalizer.mapping.canonical_values import NORMAL_FORMS
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord, Json
from verifywise_mlflow_tests.compliance.records import record_with


def rule(requires: str, *, rule_id: str = "rule", applies: str = "true", evidenced: str = "true") -> Rule:
    return Rule(
        id=rule_id,
        version=3,
        title="A title",
        severity=Severity.LOW,
        rationale="A reason",
        remedy="A remedy",
        applies=applies,
        evidenced=evidenced,
        requires=requires,
        references=(Reference(framework="NIST AI RMF", clause="GOVERN 2.1", confidence="high"),),
    )


def judge(judged_by: Rule, record: CanonicalRecord, incomplete: tuple[str, ...] = ()) -> RuleResult:
    policy = Policy(id="ours", version=1, title="A policy", rules=(judged_by,))
    return Evaluator(policy).evaluate(record, incomplete)[0]


@pytest.mark.parametrize(
    ("judged_by", "verdict", "reason"),
    [
        (rule('owner == "me"'), Verdict.PASS, "Met: owner is 'me'."),
        (rule('owner == "you"'), Verdict.FAIL, "Not met: owner is 'me'."),
        (rule('code_commit != ""'), Verdict.NOT_EVIDENCED, "Not evidenced: MLflow shows no code_commit."),
        (
            rule('code_commit != "" || description != ""'),
            Verdict.NOT_EVIDENCED,
            "Not evidenced: MLflow shows no code_commit or description.",
        ),
        (
            rule('risk_category == "high"'),
            Verdict.NOT_EVIDENCED,
            "Not evidenced: risk_category 'tier \\n9' is not understood.",
        ),
        (
            rule("runtime_environment.python_version == '3.11'"),
            Verdict.NOT_EVIDENCED,
            "Not evidenced: MLflow shows no runtime_environment.python_version.",
        ),
        (
            rule("dataset_reference[5].name == 'a'"),
            Verdict.NOT_EVIDENCED,
            "Not evidenced: dataset_reference shows too little.",
        ),
        (
            rule("true", applies='data_sensitivity == "personal"'),
            Verdict.NOT_EVIDENCED,
            "Not known whether it applies: MLflow shows no data_sensitivity.",
        ),
        (
            rule("true", applies='lifecycle_stage == "production" && data_sensitivity == "personal"'),
            Verdict.NOT_APPLICABLE,
            "Does not apply: MLflow shows no lifecycle_stage.",
        ),
        (
            rule('owner == "me"', evidenced="version_number > 1"),
            Verdict.NOT_EVIDENCED,
            "Not evidenced: version_number is 1, which does not settle it.",
        ),
        (
            rule('owner == "me"', evidenced='code_commit != ""'),
            Verdict.NOT_EVIDENCED,
            "Not evidenced: MLflow shows no code_commit.",
        ),
        (rule("runtime_environment.reproducible"), Verdict.FAIL, "Not met: runtime_environment.reproducible is false."),
        (rule("size(metrics) == 1"), Verdict.PASS, "Met: metrics has 1 entry ('accuracy': 0.9)."),
        (rule("size(dataset_reference) == 1"), Verdict.FAIL, "Not met: dataset_reference has 2 entries ('a', 'b')."),
        (
            rule("created_at > timestamp('2026-01-01T00:00:00Z')"),
            Verdict.PASS,
            "Met: created_at is 2026-03-01T12:00:00+00:00.",
        ),
        (
            rule("1 / (version_number - 1) == 1"),
            Verdict.ERROR,
            "Could not be evaluated: INVALID_ARGUMENT: divide by zero.",
        ),
    ],
)
def test_a_verdict_comes_with_what_was_seen(judged_by: Rule, verdict: Verdict, reason: str) -> None:
    record = record_with(
        owner="me",
        risk_category="tier \n9",
        metrics={"accuracy": 0.9},
        runtime_environment={"reproducible": False},
        dataset_reference=[{"name": "a"}, {"name": "b"}],
        created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )

    result = judge(judged_by, record)

    assert (result.verdict, result.reason) == (verdict, reason)


def test_a_long_value_is_quoted_in_part_and_kept_as_its_digest() -> None:
    result = judge(rule('owner == ""'), record_with(owner="x" * 100_000))

    assert len(result.reason) < 120
    written = json.dumps("x" * 100_000).encode()
    assert result.values == {"owner": {"$sha256": hashlib.sha256(written).hexdigest(), "$bytes": 100_002}}


def test_a_result_holds_what_the_rule_names_as_it_stands_and_nothing_else() -> None:
    judged_by = rule(
        'code_commit != "" && artifact_manifest.file_count > 0',
        applies='lifecycle_stage != "archived"',
        evidenced="created_at == created_at && has(stated.description)",
    )
    record = record_with(
        owner="me",
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        artifact_manifest={"files": [{"path": "a"}] * 5_000, "file_count": 5_000},
    )

    result = judge(judged_by, record)

    assert (result.rule_id, result.rule_version) == ("rule", 3)
    assert result.values == {
        "artifact_manifest.file_count": 5_000,
        "code_commit": None,
        "created_at": "2026-03-01T00:00:00+00:00",
        "lifecycle_stage": None,
        "stated.description": False,
    }


@pytest.mark.parametrize(
    "edge",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=3))),
        datetime(1, 1, 1, 0, 0, 0, 1),  # the store gives a zone to each, but nothing may raise
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-3))),
    ],
    ids=str,
)
def test_a_time_at_the_end_of_the_calendar_is_kept_and_makes_nothing_raise(edge: datetime) -> None:
    result = judge(rule("created_at == created_at"), record_with(created_at=edge))

    assert result.verdict in (Verdict.PASS, Verdict.ERROR)
    assert str(result.values["created_at"]).startswith(edge.isoformat())


def test_a_customers_map_cannot_pass_for_a_digest() -> None:
    forged: dict[str, Json] = {"$sha256": "0" * 64, "$bytes": 3}

    result = judge(rule("size(hyperparameters) > 9"), record_with(hyperparameters=forged))

    assert result.values["hyperparameters"] != forged


def test_a_verdict_holds_where_its_values_came_from() -> None:
    origins: dict[str, dict[str, object]] = {
        "owner": {"source": "version tag", "key": "Owner" * 100, "raw": "me"},
        "evaluation_tags.suite": {"source": "run tag", "key": "eval.suite", "raw": "a"},
        "description": {"source": "version", "key": "description", "raw": None},
    }
    judged_by = rule('owner == "me" && evaluation_tags.suite == "a"')

    policy = Policy(id="ours", version=1, title="A policy", rules=(judged_by,))
    (result,) = Evaluator(policy).evaluate(record_with(owner="me"), origins=origins)

    assert result.origins == {
        "owner": {"source": "version tag", "key": ("Owner" * 100)[:300]},
        "evaluation_tags.suite": {"source": "run tag", "key": "eval.suite"},
    }


def test_the_hash_of_the_inputs_follows_from_what_is_kept_beside_the_verdict() -> None:
    judged_by = rule("training_ended_at < today && version_number < thresholds.most")
    policy = Policy(id="ours", version=1, title="A policy", thresholds={"most": 5, "unused": 1}, rules=(judged_by,))
    record = record_with(training_ended_at=datetime(2026, 3, 1, tzinfo=UTC))

    (result,) = Evaluator(policy, today=date(2026, 3, 9)).evaluate(record)

    decisive = {name: getattr(judged_by, name) for name in ("applies", "evidenced", "id", "requires", "version")}
    inputs = {
        "day": "2026-03-09",
        "rule": hashlib.sha256(canonical(decisive)).hexdigest(),
        "thresholds": {"most": 5.0},
        "values": {"training_ended_at": "2026-03-01T00:00:00+00:00", "version_number": 1},
    }
    assert result.verdict is Verdict.PASS
    assert (result.thresholds, result.day) == ({"most": 5.0}, date(2026, 3, 9))
    assert result.input_hash == hashlib.sha256(canonical(inputs)).hexdigest()


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def test_only_a_rule_that_looks_at_the_day_is_hashed_with_it() -> None:
    policy = Policy(
        id="ours",
        version=1,
        title="A policy",
        rules=(rule("created_at < today", rule_id="dated"), rule('owner == "me"', rule_id="undated")),
    )
    record = record_with(owner="me", created_at=datetime(2026, 3, 1, tzinfo=UTC))

    on_days = [Evaluator(policy, today=date(2026, 3, number)).judge(Subject(record)) for number in (8, 9)]

    hashes = [[one.result().input_hash for one in judged] for judged in on_days]
    assert [first == second for first, second in zip(*hashes, strict=True)] == [False, True]
    # A day that passes is no reason to write a verdict anew.
    assert [one.fingerprint() for one in on_days[0]] == [one.fingerprint() for one in on_days[1]]


BEFORE = Subject(record_with(owner="me"))


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(replace(BEFORE, record=record_with(owner="you")), id="value"),
        pytest.param(replace(BEFORE, incomplete=("run 12ab: HTTP 404",)), id="what could not be read"),
        pytest.param(replace(BEFORE, origins={"code_commit": {"source": "run tag", "key": "commit"}}), id="origin"),
    ],
)
def test_a_verdict_that_says_something_else_has_another_fingerprint(after: Subject) -> None:
    policy = Policy(id="ours", version=1, title="A policy", rules=(rule('owner == "me" && code_commit == "a"'),))
    evaluator = Evaluator(policy)

    (first,), (second,) = evaluator.judge(BEFORE), evaluator.judge(after)

    assert first.fingerprint() != second.fingerprint()


def test_where_evidence_lacks_and_something_could_not_be_read_the_reason_says_so() -> None:
    unread = ("run 12ab: HTTP 404.", "artifacts: HTTP 403")

    lacking = judge(rule('owner != ""'), record_with(), unread)
    met = judge(rule('owner != ""'), record_with(owner="me"), unread)

    assert (
        lacking.reason
        == "Not evidenced: MLflow shows no owner. Part of the record could not be read: run 12ab: HTTP 404."
    )
    assert met.reason == "Met: owner is 'me'."


def test_of_what_a_rule_asks_to_be_there_the_reason_says_no_more_than_that_it_is() -> None:
    shown = judge(rule("has(stated.owner)"), record_with(owner="me"))
    quoted = judge(rule('has(stated.owner) && owner == "me"'), record_with(owner="me"))

    assert shown.reason == "Met: owner is shown."
    assert quoted.reason == "Met: owner is 'me'."


def test_of_a_list_the_reason_names_the_first_entries_by_what_people_know_them_by() -> None:
    files: list[Json] = [{"path": f"{name}.json", "kind": "plot"} for name in ("a", "it's", "c", "d")]

    result = judge(rule("size(evidence_files) > 9"), record_with(evidence_files=files))

    assert result.reason == "Not met: evidence_files has 4 entries ('a.json', \"it's.json\", 'c.json', …)."


def test_a_rule_that_cannot_be_evaluated_leaves_the_others_alone() -> None:
    policy = Policy(
        id="ours",
        version=1,
        title="A policy",
        rules=(rule("1 / (version_number - 1) == 1", rule_id="broken"), rule('owner == "me"', rule_id="sound")),
    )

    results = Evaluator(policy).evaluate(record_with(owner="me"))

    assert [(result.rule_id, result.verdict) for result in results] == [
        ("broken", Verdict.ERROR),
        ("sound", Verdict.PASS),
    ]


TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates and NUL among them
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from([form for forms in NORMAL_FORMS.values() for form in forms])
TIMES = st.datetimes() | st.datetimes(timezones=st.timezones())
ENVIRONMENTS = st.fixed_dictionaries({}, optional={"reproducible": JSON, "sources": JSON, "problems": JSON})


def of_type(annotation: object) -> st.SearchStrategy[object]:
    """Values of a field as its annotation says, and, since records come out of a database, any other."""
    matching: dict[str, st.SearchStrategy[object]] = {
        "str | None": WORDS | TEXT,
        "datetime | None": TIMES,
        "Mapping[str, float] | None": st.dictionaries(TEXT, st.floats(), max_size=3),
        "Json": ENVIRONMENTS | JSON,
    }
    return st.none() | matching.get(str(annotation), JSON) | JSON


RECORDS = st.builds(CanonicalRecord, **{field.name: of_type(field.type) for field in fields(CanonicalRecord)})
ALL_FIELDS = Policy(
    id="all",
    version=1,
    title="Looks at everything",
    rules=tuple(rule(f"{field} == {field}", rule_id=field.replace("_", "-")) for field in FIELDS),
)
EVALUATORS = [Evaluator(default_policy()), Evaluator(ALL_FIELDS)]


@given(RECORDS)
def test_every_record_gets_one_verdict_a_rule(record: CanonicalRecord) -> None:
    for evaluator, policy in zip(EVALUATORS, (default_policy(), ALL_FIELDS), strict=True):
        results = evaluator.evaluate(record)

        assert [result.rule_id for result in results] == [rule.id for rule in policy.rules]
        assert all(result.reason.endswith(".") for result in results)
        for judged_by, result in zip(policy.rules, results, strict=True):
            assert len(json.dumps(result.values)) < (LONGEST_KEPT + 100) * max(1, len(result.values))
            recomputed = input_hash_of(rule_digest(judged_by), result.values, result.thresholds, result.day)
            assert recomputed == result.input_hash


# Without lifecycle_stage, whose absence means something: see STAGE_NOT_SHOWN.
@given(RECORDS, st.sampled_from(FIELDS).filter(lambda field: field != "lifecycle_stage"))
def test_taking_evidence_away_never_turns_a_verdict_into_its_opposite(record: CanonicalRecord, field: str) -> None:
    less: dict[str, Json] = {name: getattr(record, name) for name in FIELDS} | {field: None}
    opposites = {Verdict.PASS: Verdict.FAIL, Verdict.FAIL: Verdict.PASS}

    before = EVALUATORS[0].evaluate(record)
    after = EVALUATORS[0].evaluate(record_with(**less))

    for full, lessened in zip(before, after, strict=True):
        assert lessened.verdict != opposites.get(full.verdict)
