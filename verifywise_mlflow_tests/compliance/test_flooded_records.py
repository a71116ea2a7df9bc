"""Volume never softens a verdict: a list that a server fills with harmless entries is decided like a short one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules import cel_pieces
from verifywise_mlflow.compliance.rules.cel_expression import CelEvaluationError, compile_expression, compile_value
from verifywise_mlflow.compliance.rules.cel_variables import Activation, CelValue, Subject
from verifywise_mlflow.compliance.rules.evidence import evidence_of
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.findings import Finding, fold_findings
from verifywise_mlflow_tests.compliance.records import record_with

FLOOD = 10_050
"""Entries: more than the CEL library iterates over in one evaluation."""


def flooded(value: Json, harmless: Json) -> Json:
    """Put the harmless entries before those of a list or map, so that the decisive ones come last."""
    if isinstance(value, Mapping):
        return {**{f"flood-{number:05}": harmless for number in range(FLOOD)}, **value}
    assert isinstance(value, Sequence)
    return [*([harmless] * FLOOD), *value]


PICKLE: Json = {"root": "model", "path": "model.pkl", "kind": "model binary", "sha256": "a" * 64}
LISTS: Mapping[str, tuple[Mapping[str, Json], str, Json]] = {
    "files": (
        {"artifact_manifest": {"files": [PICKLE], "digest": "d", "changed_in_place_count": 0}},
        "artifact_manifest.files",
        {"root": "run", "path": "notes.txt", "kind": "other", "sha256": "b" * 64},
    ),
    "signatures": (
        {"artifact_manifest": {"signatures": [{"path": "model.sig", "status": "mismatch"}]}},
        "artifact_manifest.signatures",
        {"path": "other.sig", "status": "valid"},
    ),
    "packages": (
        {"runtime_environment": {"packages": [{"name": "numpy", "pinned": False}]}},
        "runtime_environment.packages",
        {"name": "pip", "pinned": True},
    ),
    "metrics": ({"metrics": {"accuracy": "NaN"}}, "metrics", "NaN"),
    "datasets": (
        {"dataset_reference": [{"name": "train", "digest": None}]},
        "dataset_reference",
        {"name": "other", "digest": "d"},
    ),
    "evidence files": (
        {"evidence_files": [{"kind": "evaluation report", "path": "report.html", "sha256": None}]},
        "evidence_files",
        {"kind": "model card", "path": "README.md", "sha256": "c" * 64},
    ),
}


def as_read(finding: Finding) -> Mapping[str, Json]:
    return {"kind": finding.kind, "field": finding.field, "sentence": finding.sentence, "count": finding.count}


def with_flood(record: Mapping[str, Json], path: str, harmless: Json) -> dict[str, Json]:
    field, _, member = path.partition(".")
    value = record[field]
    if not member:
        return {**record, field: flooded(value, harmless)}
    assert isinstance(value, Mapping)
    return {**record, field: {**value, member: flooded(value[member], harmless)}}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("stage", ["production", "staging"])
def test_a_flooded_list_changes_no_verdict_of_the_default_policy(name: str, stage: str) -> None:
    fields, path, harmless = LISTS[name]
    common: dict[str, Json] = {"lifecycle_stage": stage, "risk_category": "high"}
    evaluator = Evaluator(default_policy())

    calm = evaluator.evaluate(record_with(**common, **fields))
    stormy = evaluator.evaluate(record_with(**common, **with_flood(fields, path, harmless)))

    assert {result.rule_id: result.verdict for result in stormy} == {result.rule_id: result.verdict for result in calm}
    assert Verdict.ERROR not in {result.verdict for result in stormy}


def test_any_number_of_findings_changes_no_verdict_of_the_default_policy() -> None:
    secret = Finding("secret redacted", "hyperparameters", "the param 'token' contained a secret")
    alias = Finding("dangling alias", None, "an alias points to a version that does not exist")
    evaluator = Evaluator(default_policy())

    calm, stormy = (
        {
            result.rule_id: result.verdict
            for result in evaluator.evaluate(record_with(), findings=[as_read(finding) for finding in findings])
        }
        for findings in (fold_findings([alias, secret]), fold_findings([*[alias] * FLOOD, secret]))
    )

    assert calm == stormy
    assert (calm["no-secrets"], calm["dangling-alias"]) == (Verdict.FAIL, Verdict.FAIL)


def test_findings_of_a_former_release_that_were_not_folded_are_decided_as_well() -> None:
    alias: Mapping[str, Json] = {"kind": "dangling alias", "field": None, "sentence": "An alias."}
    secret: Mapping[str, Json] = {"kind": "secret redacted", "field": None, "sentence": "A secret."}

    results = Evaluator(default_policy()).evaluate(record_with(), findings=[*[alias] * FLOOD, secret])

    assert {result.rule_id: result.verdict for result in results}["no-secrets"] is Verdict.FAIL


def test_a_sentence_quotes_a_value_of_a_flooded_list() -> None:
    findings = [
        *({"kind": "dangling alias", "sentence": "x"} for _ in range(FLOOD)),
        {"kind": "not ready", "sentence": "y"},
    ]
    activation = evidence_of(Subject(record_with(), findings=findings)).activation()

    assert compile_value("findings.filter(f, f.kind == 'not ready').map(f, f.sentence)").value(activation) == ["y"]


def test_a_written_list_inside_a_macro_makes_the_pieces_smaller() -> None:
    words = ", ".join(f'"word{number}"' for number in range(300))
    record = record_with(evidence_files=[{"path": f"file{number}"} for number in range(3_000)] + [{"path": "word299"}])

    condition = compile_expression(f"evidence_files.exists(file, [{words}].exists(word, file.path.contains(word)))")

    assert condition.holds(evidence_of(Subject(record)).activation()) is True


CONDITIONS = (
    "incomplete.exists(x, x == 'a')",
    "incomplete.all(x, x == 'a')",
    "incomplete.exists_one(x, x == 'a')",
    "size(incomplete.filter(x, x != 'a')) > 2",
    "incomplete.filter(x, x != 'a').exists(x, x == 'b')",
    "incomplete.map(x, x) == incomplete",
    "incomplete.map(x, x != 'a', [x]) == [['b']]",
    "incomplete.exists(x, int(x) == 1)",
    "incomplete.all(x, int(x) == 1)",
    "incomplete.exists(x, has(stated.owner) && owner == x)",
    "incomplete.exists(x, owner == x) || incomplete.exists(x, x == 'b')",
    "incomplete.all(x, owner == x || x == 'a') && metrics.exists(m, metrics[m] > 0.5)",
    "metrics.all(m, metrics[m] > 0.5) ? incomplete.exists(x, x == 'a') : true",
    "size(incomplete) > 3 && !incomplete.exists(x, [x, 'c'].exists(y, y == 'b'))",
)


@settings(max_examples=60)
@given(
    st.sampled_from(CONDITIONS),
    st.lists(st.sampled_from(["a", "b", "1"]), max_size=9),
    st.one_of(st.none(), st.dictionaries(st.sampled_from("pqrst"), st.sampled_from([0.1, 0.9]))),
    st.sampled_from([None, "a", "b"]),
)
def test_pieces_decide_like_the_whole(
    text: str, incomplete: list[str], metrics: dict[str, float] | None, owner: str | None
) -> None:
    known: dict[str, CelValue] = {"incomplete": list(incomplete), "stated": {"owner": True} if owner else {}}
    known |= {"owner": owner} if owner else {}
    known |= {"metrics": dict(metrics)} if metrics else {}
    outcomes = []
    for limit in (9_000, 2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cel_pieces, "MAX_ITERATIONS", limit)
            try:
                outcomes.append(str(compile_expression(text).holds_by_library(Activation(known))))
            except CelEvaluationError:
                outcomes.append("error")

    assert all(one == other for one, other in pairwise(outcomes))
