"""Any number of findings is folded into a bounded list that keeps every kind, every field and the number of each."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.normalizer.findings import FINDING_KINDS, MAX_EQUAL_FINDINGS, Finding, FindingKind, fold_findings

GROUPS = [(kind, field) for kind in FINDING_KINDS for field in (None, "owner", "risk_category")]


@given(st.lists(st.tuples(st.sampled_from(GROUPS), st.integers(1, 45)), max_size=6), st.randoms())
def test_folding_keeps_the_number_of_each_kind_and_field(
    groups: list[tuple[tuple[FindingKind, str | None], int]], random: Random
) -> None:
    findings = [Finding(kind, field, f"finding {number}") for (kind, field), count in groups for number in range(count)]
    random.shuffle(findings)

    folded = fold_findings(findings)

    assert Counter((finding.kind, finding.field) for finding in findings) == sum(
        (Counter({(finding.kind, finding.field): finding.count}) for finding in folded), Counter()
    )
    entries = Counter((finding.kind, finding.field) for finding in folded)
    assert all(count <= MAX_EQUAL_FINDINGS + 1 for count in entries.values())


def test_the_first_findings_stay_as_they_are_and_the_rest_is_one_entry() -> None:
    findings = [Finding("dangling alias", None, f"alias {number}") for number in range(10_050)]
    secret = Finding("secret redacted", "hyperparameters", "a secret")

    folded = fold_findings([*findings, secret])

    assert folded == (
        *findings[:MAX_EQUAL_FINDINGS],
        secret,
        Finding("dangling alias", None, "10,030 more findings of this kind: dangling alias", 10_030),
    )
