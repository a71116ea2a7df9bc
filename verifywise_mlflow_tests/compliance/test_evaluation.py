"""Verdicts on records: the evidence that is stored with them, and that no record makes the evaluator raise."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.input_hash import MAX_VALUE_BYTES, input_hash, rule_digest
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.policy import Policy, default_policy
from verifywise_mlflow.compliance.rules.rule import Condition
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.record import FIELDS, NORMAL_FORMS, CanonicalRecord
from verifywise_mlflow.normalizer.unread_object import UnreadObject
from verifywise_mlflow_tests.compliance.records import record_with
from verifywise_mlflow_tests.compliance.rules import evaluate, rule_with


def test_a_long_value_is_stored_as_its_digest() -> None:
    result = evaluate(rule_with('owner == ""'), record_with(owner="x" * 100_000))

    encoded = json.dumps("x" * 100_000).encode()
    assert result.values == {"owner": {"$sha256": hashlib.sha256(encoded).hexdigest(), "$bytes": 100_002}}


def test_a_result_stores_the_values_that_the_rule_reads_and_nothing_else() -> None:
    rule = rule_with(
        'code_commit != "" && artifact_manifest.file_count > 0',
        applies='lifecycle_stage != "archived"',
        evidenced="created_at == created_at && has(stated.description)",
    )
    record = record_with(
        owner="me",
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        artifact_manifest={"files": [{"path": "a"}] * 5_000, "file_count": 5_000},
    )

    result = evaluate(rule, record)

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
        datetime(1, 1, 1, 0, 0, 0, 1),  # the store adds a time zone, but a value without a time zone must not raise
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-3))),
    ],
    ids=str,
)
def test_a_time_at_the_end_of_the_calendar_is_stored_without_an_exception(edge: datetime) -> None:
    result = evaluate(rule_with("created_at == created_at"), record_with(created_at=edge))

    assert result.verdict in (Verdict.PASS, Verdict.ERROR)
    assert str(result.values["created_at"]).startswith(edge.isoformat())


def test_a_customers_map_cannot_pass_for_a_digest() -> None:
    forged: dict[str, Json] = {"$sha256": "0" * 64, "$bytes": 3}

    result = evaluate(rule_with("size(hyperparameters) > 9"), record_with(hyperparameters=forged))

    assert result.values["hyperparameters"] != forged


def test_a_result_stores_the_origins_of_its_values() -> None:
    origins: dict[str, dict[str, object]] = {
        "owner": {"source": "version tag", "key": "Owner" * 100, "raw": "me"},
        "evaluation_tags.suite": {"source": "run tag", "key": "eval.suite", "raw": "a"},
        "description": {"source": "version", "key": "description", "raw": None},
    }
    rule = rule_with('owner == "me" && evaluation_tags.suite == "a"')

    policy = Policy(id="ours", version=1, title="A policy", rules=(rule,))
    (result,) = Evaluator(policy).evaluate(record_with(owner="me"), origins=origins)

    assert result.origins == {
        "owner": {"source": "version tag", "key": ("Owner" * 100)[:300]},
        "evaluation_tags.suite": {"source": "run tag", "key": "eval.suite"},
    }


def test_the_input_hash_can_be_recomputed_from_what_is_stored_with_the_verdict() -> None:
    condition = Condition(holds="version_number > 0", otherwise="fail", reason="There is no version {version_number}.")
    rule = rule_with("training_ended_at < today && version_number < thresholds.most", conditions=(condition,))
    policy = Policy(id="ours", version=1, title="A policy", thresholds={"most": 5, "unused": 1}, rules=(rule,))
    record = record_with(training_ended_at=datetime(2026, 3, 1, tzinfo=UTC))

    (result,) = Evaluator(policy, today=date(2026, 3, 9)).evaluate(record)

    decisive = {name: getattr(rule, name) for name in ("applies", "evidenced", "id", "requires", "version")}
    decisive["conditions"] = [{"holds": "version_number > 0", "otherwise": "fail"}]
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


def test_only_a_rule_that_reads_the_day_is_hashed_with_it() -> None:
    policy = Policy(
        id="ours",
        version=1,
        title="A policy",
        rules=(rule_with("created_at < today", rule_id="dated"), rule_with('owner == "me"', rule_id="undated")),
    )
    record = record_with(owner="me", created_at=datetime(2026, 3, 1, tzinfo=UTC))

    on_days = [Evaluator(policy, today=date(2026, 3, number)).evaluate_subject(Subject(record)) for number in (8, 9)]

    hashes = [[evaluation.result().input_hash for evaluation in evaluations] for evaluations in on_days]
    assert [first == second for first, second in zip(*hashes, strict=True)] == [False, True]
    # The passing of a day is no reason to write a verdict again.
    fingerprints = [[evaluation.fingerprint() for evaluation in evaluations] for evaluations in on_days]
    assert fingerprints[0] == fingerprints[1]


BEFORE = Subject(record_with(owner="me"))


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(replace(BEFORE, record=record_with(owner="you")), id="value"),
        pytest.param(
            replace(BEFORE, incomplete=[UnreadObject("run", ("run 12ab: HTTP 404",), ("code_commit",))]),
            id="unread part",
        ),
        pytest.param(replace(BEFORE, origins={"code_commit": {"source": "run tag", "key": "commit"}}), id="origin"),
    ],
)
def test_a_changed_result_has_another_fingerprint(after: Subject) -> None:
    policy = Policy(id="ours", version=1, title="A policy", rules=(rule_with('owner == "me" && code_commit == "a"'),))
    evaluator = Evaluator(policy)

    (first,), (second,) = evaluator.evaluate_subject(BEFORE), evaluator.evaluate_subject(after)

    assert first.fingerprint() != second.fingerprint()


def test_a_rule_that_cannot_be_evaluated_does_not_affect_the_others() -> None:
    policy = Policy(
        id="ours",
        version=1,
        title="A policy",
        rules=(
            rule_with("1 / (version_number - 1) == 1", rule_id="broken"),
            rule_with('owner == "me"', rule_id="sound"),
        ),
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


def values_of_type(annotation: object) -> st.SearchStrategy[object]:
    """Values of the annotated type and, because records come from a database, of any other type."""
    matching: dict[str, st.SearchStrategy[object]] = {
        "str | None": WORDS | TEXT,
        "datetime | None": TIMES,
        "Mapping[str, float] | None": st.dictionaries(TEXT, st.floats(), max_size=3),
        "Json": ENVIRONMENTS | JSON,
    }
    return st.none() | matching.get(str(annotation), JSON) | JSON


RECORDS = st.builds(CanonicalRecord, **{field.name: values_of_type(field.type) for field in fields(CanonicalRecord)})
ALL_FIELDS = Policy(
    id="all",
    version=1,
    title="Reads everything",
    rules=tuple(rule_with(f"{field} == {field}", rule_id=field.replace("_", "-")) for field in FIELDS),
)
EVALUATORS = [Evaluator(default_policy()), Evaluator(ALL_FIELDS)]


@given(RECORDS)
def test_every_record_gets_one_verdict_per_rule(record: CanonicalRecord) -> None:
    for evaluator, policy in zip(EVALUATORS, (default_policy(), ALL_FIELDS), strict=True):
        results = evaluator.evaluate(record)

        assert [result.rule_id for result in results] == [rule.id for rule in policy.rules]
        assert all(result.reason.endswith(".") for result in results)
        for rule, result in zip(policy.rules, results, strict=True):
            assert len(json.dumps(result.values)) < (MAX_VALUE_BYTES + 100) * max(1, len(result.values))
            recomputed = input_hash(rule_digest(rule), result.values, result.thresholds, result.day)
            assert recomputed == result.input_hash


# Without lifecycle_stage, whose absence has a meaning: see USE_NOT_SHOWN.
@given(RECORDS, st.sampled_from(FIELDS).filter(lambda field: field != "lifecycle_stage"))
def test_removing_evidence_never_reverses_a_verdict(record: CanonicalRecord, field: str) -> None:
    reduced_fields: dict[str, Json] = {name: getattr(record, name) for name in FIELDS} | {field: None}
    opposites = {Verdict.PASS: Verdict.FAIL, Verdict.FAIL: Verdict.PASS}

    before = EVALUATORS[0].evaluate(record)
    after = EVALUATORS[0].evaluate(record_with(**reduced_fields))

    for full, reduced in zip(before, after, strict=True):
        assert reduced.verdict != opposites.get(full.verdict)
