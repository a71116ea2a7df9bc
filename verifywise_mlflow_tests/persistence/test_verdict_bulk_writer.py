"""Verdicts are read as they were written, for any quoted value, and are written only if they change."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from verifywise_mlflow.compliance.badge import version_badge
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.input_hash import input_hash, rule_digest
from verifywise_mlflow.compliance.rules.policy import Policy
from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.repositories import verdicts
from verifywise_mlflow.persistence.repositories.verdict_batch import (
    EvaluationContext,
    PolicyIdentity,
    VerdictBatch,
    VerdictRows,
)
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import without_separators
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.compliance.rules import rule_with
from verifywise_mlflow_tests.persistence.row_factories import HOSTILE
from verifywise_mlflow_tests.support.evaluation_fixtures import store_record
from verifywise_mlflow_tests.support.record_inputs_factory import inputs
from verifywise_mlflow_tests.support.stored_states import NOON, day, write_record

KEY = ("fraud", 3)
TEXT = st.text(st.characters(exclude_categories=()), min_size=1, max_size=30) | st.sampled_from(
    [HOSTILE, "\x1e", "a\x1e\x1db", "\\u0000", "{}", "NULL", "␀", "🙂"]
)
POLICY = Policy(
    id="ours",
    version=1,
    title="A policy",
    thresholds={"least": 0.25},
    rules=(
        rule_with('owner == "ann"', rule_id="text"),
        rule_with("metrics.all(m, metrics[m] > thresholds.least)", rule_id="figures"),
        rule_with("created_at < today", rule_id="dated"),
        rule_with("owner == business_purpose || size(owner) / 0 == 1", rule_id="odd"),
    ),
)


def judge(store: Store, policy: Policy, number: int, *, sync_id: str | None = None) -> int:
    """Evaluate the only record as the stage does; return the number of written verdicts."""
    evaluator, now = Evaluator(policy, today=date(2026, 3, number)), day(number)
    with store.begin("acme") as session:
        (pending,) = verdicts.pending_evaluations(
            session, policy_digest="none", after=None, limit=2, selection=evaluator.selection
        )
        results = evaluator.evaluate_subject(pending.subject())
        policy_of = {rule.id: PolicyIdentity(policy.id, str(policy.version)) for rule in policy.rules}
        writing = VerdictBatch(EvaluationContext(policy.digest, sync_id or f"sync of day {number}", now))
        writing.add(pending, results, version_badge(results, complete=True), VerdictRows(policy_of))
        return writing.write(session)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(owner=TEXT, figure=st.floats(), description=TEXT)
def test_the_input_hash_can_be_recomputed_from_a_stored_verdict(
    store: Store, owner: str, figure: float, description: str
) -> None:
    given_inputs = inputs(version_tags={"owner": owner, "business_purpose": description})
    write_record(store, given_inputs, NOON, metrics={"a": figure, owner: 0.5})

    judge(store, POLICY, 2)

    with store.begin("acme") as session:
        stored_verdicts = history.verdicts_as_of(session, KEY, day(3))
        (pending,) = verdicts.pending_evaluations(session, policy_digest="none", after=None, limit=2)
    assert [stored_verdict.rule_id for stored_verdict in stored_verdicts] == ["dated", "figures", "odd", "text"]
    rules = {rule.id: rule for rule in POLICY.rules}
    for stored_verdict in stored_verdicts:
        recomputed = input_hash(
            rule_digest(rules[stored_verdict.rule_id]),
            stored_verdict.values,  # type: ignore[arg-type]  # what JSON gave
            stored_verdict.thresholds,
            stored_verdict.day,
        )
        assert recomputed == stored_verdict.input_hash
    results = {
        evaluation.rule_id: evaluation
        for evaluation in Evaluator(POLICY, today=date(2026, 3, 2)).evaluate_subject(pending.subject())
    }
    for stored_verdict in stored_verdicts:
        assert (stored_verdict.verdict, stored_verdict.reason) == (
            results[stored_verdict.rule_id].verdict,
            without_separators(results[stored_verdict.rule_id].result().reason),
        )


def test_only_changed_verdicts_are_written(store: Store) -> None:
    write_record(store, inputs(version_tags={"owner": "ann"}), NOON, metrics={"a": 0.5})
    changed = POLICY.model_copy(
        update={
            "rules": (rule_with('owner == "you"', rule_id="text"), *POLICY.rules[1:3], rule_with("true", rule_id="new"))
        }
    )

    written_counts = [
        judge(store, POLICY, 2),
        judge(store, POLICY, 3),
        judge(store, changed, 4),
        judge(store, changed, 5),
    ]

    # The last policy has one changed expression, one new rule and one rule less. A new day alone writes nothing.
    assert written_counts == [4, 0, 3, 0]
    with store.begin("acme") as session:
        states = history.verdict_states_of(session, KEY)
    assert [(state.rule_id, state.day, state.span.valid_to) for state in states if state.rule_id == "dated"] == [
        ("dated", date(2026, 3, 2), None)
    ]


def test_a_manually_changed_verdict_is_written_again(store: Store) -> None:
    write_record(store, inputs(version_tags={"owner": "ann"}), NOON, metrics={"a": 0.5})
    judge(store, POLICY, 2)
    with store.begin_shared() as connection:
        connection.execute(
            text("UPDATE verifywise_mlflow.version_verdicts SET verdicts[array_position(rule_ids, 'odd')] = 'pass'")
        )

    assert judge(store, POLICY, 3) == 1


@pytest.mark.parametrize("requires", ["size(artifact_manifest.files) == 1", "artifact_manifest == artifact_manifest"])
def test_large_values_are_loaded_only_if_a_rule_uses_them(store: Store, requires: str) -> None:
    write_record(store, inputs(), NOON)
    manifest = {"files": [{"path": "a"}], "file_count": 1}
    with store.begin("acme") as session:
        session.execute(
            text("UPDATE verifywise_mlflow.canonical_records SET artifact_manifest = :manifest, owner = 'me'"),
            {"manifest": json.dumps(manifest)},
        )

    def evaluate_expressions(*expressions: str) -> object:
        policy = Policy(
            id="ours",
            version=1,
            title="A policy",
            rules=tuple(
                rule_with(expression, rule_id=f"rule-{number}") for number, expression in enumerate(expressions)
            ),
        )
        with store.begin("acme") as session:
            (pending,) = verdicts.pending_evaluations(
                session, policy_digest="", after=None, limit=2, selection=Evaluator(policy).selection
            )
        assert pending.subject().record.owner is None
        return pending.subject().record.artifact_manifest

    assert evaluate_expressions("artifact_manifest.file_count == 1") == {"file_count": 1}
    assert evaluate_expressions("artifact_manifest.file_count == 1", requires) == manifest
    assert evaluate_expressions("has(stated.artifact_manifest) && artifact_manifest.file_count == 1") == manifest
    assert evaluate_expressions("model_name != ''") is None


def test_an_evaluation_of_an_earlier_day_is_pending_again_if_rules_depend_on_the_day(store: Store) -> None:
    write_record(store, inputs(), NOON)
    judge(store, POLICY, 2)

    with store.begin("acme") as session:
        pending = [
            len(
                verdicts.pending_evaluations(
                    session, policy_digest=POLICY.digest, after=None, limit=2, evaluated_since=since
                )
            )
            for since in (None, day(2), day(2) + timedelta(hours=12))
        ]
    assert pending == [0, 0, 1]


def test_pagination_returns_each_record_once(store: Store) -> None:
    names = [f"model-{number}" for number in range(5)]
    for name in names:
        store_record(store, name, 1, NOON)
        store_record(store, name, 2, NOON)
    with store.begin("acme") as session:
        session.execute(
            text("""
                INSERT INTO verifywise_mlflow.compliance_badges
                SELECT tenant_id, model_name, version_number, 'gaps', revision, 'digest', now(), '', now()
                FROM verifywise_mlflow.canonical_records WHERE model_name IN ('model-1', 'model-3')
            """)
        )

    def pages(digest: str) -> list[list[tuple[str, int]]]:
        keys_by_page: list[list[tuple[str, int]]] = []
        with store.begin("acme") as session:
            while page := verdicts.pending_evaluations(
                session, policy_digest=digest, after=keys_by_page[-1][-1] if keys_by_page else None, limit=3
            ):
                keys_by_page.append([evaluation.key for evaluation in page])
        return keys_by_page

    all_keys = [(name, number) for name in names for number in (1, 2)]
    assert [len(page) for page in pages("another")] == [3, 3, 3, 1]
    assert [key for page in pages("another") for key in page] == all_keys
    assert [key for page in pages("digest") for key in page] == [
        key for key in all_keys if key[0] not in ("model-1", "model-3")
    ]
