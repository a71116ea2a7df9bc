"""An expression whose cost could grow without bound is refused when it is compiled, with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.compliance.rules.cel_cost import MAX_EXPRESSION_LENGTH
from verifywise_mlflow.compliance.rules.cel_expression import CelExpressionError, compile_expression, compile_value
from verifywise_mlflow.compliance.rules.policy import PolicyError, load_policy
from verifywise_mlflow_tests.support.evaluation_fixtures import rule_yaml, write_policy

REFUSED = [
    ('[owner].map(x, x + x).map(x, x + x).map(x, x + x).exists(x, x != "")', "may not run over the result"),
    ("size(incomplete.map(x, [x, x]).map(x, [x, x])) > 0", "may not run over the result"),
    ('[owner].map(x, x + x)[0] != ""', "may only add numbers, times and durations"),
    ('owner + owner != ""', "may only add numbers, times and durations"),
    ("size(incomplete + incomplete) > 1", "may only add numbers, times and durations"),
    ("size([owner] + [owner]) > 1", "may only add numbers, times and durations"),
    ("metrics.a + metrics.b > 1.0", r"write double\(x\) \+ double\(y\)"),
    ("incomplete.all(one, incomplete.all(other, size(other) > 0))", "sizes of both would multiply"),
    ("findings.exists(f, f.field.exists(g, g == 'a'))", "sizes of both would multiply"),
    ("findings.exists(f, incomplete.filter(i, i == f.kind) == [])", "sizes of both would multiply"),
    ("(size(incomplete) > 0 ? incomplete : [owner]).exists(x, x != '')", "may not run over the result"),
    ("owner.matches(business_purpose)", "write the pattern itself"),
    ('owner.matches("(a" + owner)', "write the pattern itself"),
    ('owner.matches("(")', "is not valid for RE2: .*missing"),
    ('owner.matches("(x{1,1000}){1,1000}")', "is not valid for RE2"),
    (f'owner == "{"a" * MAX_EXPRESSION_LENGTH}"', "expected at most 4,000"),
    ("+".join(["1"] * 1_900) + " > 0", "recursion depth"),
    ("metrics" + ".a" * 1_900 + " == 1", "recursion depth"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=range(len(REFUSED)))
def test_an_expression_that_could_grow_is_refused_with_the_remedy(text: str, message: str) -> None:
    for compiles in (compile_expression, compile_value):
        with pytest.raises(CelExpressionError, match=message):
            compiles(text)


@pytest.mark.parametrize(
    "text",
    [
        "size(findings.filter(f, f.kind == 'conflict').map(f, f.sentence)) > 0",
        "findings.filter(f, f.kind == 'conflict').filter(f, f.field == 'owner').all(f, f.count > 1)",
        'evidence_files.exists(f, ["a", "b"].exists(word, f.path.contains(word)))',
        '["a", "b"].all(word, !owner.contains(word))',
        "artifact_manifest.files.exists_one(file, file.kind == 'model card')",
        'runtime_environment["packages"].all(p, p.pinned)',
        "metrics.exists(name, double(metrics[name]) + 1.0 > thresholds.least)",
        'training_ended_at + duration("48h") < today',
        "version_number + 1 > 2",
        'owner.matches("^[a-z]+$")',
        "dataset_reference.map(d, {'name': d.name, 'digest': d.digest}) == []",
    ],
)
def test_what_rules_need_stays_allowed(text: str) -> None:
    compile_expression(text)


def test_a_policy_that_doubles_a_text_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    doubled = "[owner]" + ".map(x, x + x)" * 25
    path = write_policy(tmp_path / "policy.yaml", rule_yaml("greedy", f"size({doubled}[0]) > 0"))

    with pytest.raises(PolicyError) as caught:
        load_policy(path)

    assert "rule 'greedy': requires: the macro map() may not run over the result" in str(caught.value)
    assert "write it over a value of the record" in str(caught.value)
