"""Findings: values that were read but look wrong. Rules use the kind of a finding; people read its sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal, get_args

from verifywise_mlflow.common.value_object import value_object

FindingKind = Literal[
    "unknown value",
    "no value",
    "unreadable date",
    "conflict",
    "ambiguous stage",
    "unknown alias",
    "use without stage",
    "partial traffic",
    "dangling alias",
    "deleted run",
    "modified code",
    "hidden from search",
    "evaluated on training data",
    "unpinned prompt",
    "prompt without version",
    "prompt not in the registry",
    "deleted prompt",
    "not ready",
    "recreated",
    "changed in place",
    "empty file",
    "uncertain origin",
    "secret redacted",
    "personal data redacted",
]

FINDING_KINDS: Final[tuple[FindingKind, ...]] = get_args(FindingKind)


MAX_EQUAL_FINDINGS: Final = 20
"""The maximum number of findings, of one kind and about one field, that have an entry each. A server may cause more
findings. Those share one entry."""


@value_object
class Finding:
    """A fact about a version that a person should look at. It changes no value of the record."""

    kind: FindingKind
    field: str | None
    """The field of the record; None if the finding is about the version itself or one of its objects."""
    sentence: str
    count: int = 1
    """The number of findings that the entry summarizes."""


def fold_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings. Findings beyond ``MAX_EQUAL_FINDINGS`` become one entry per kind and field, at the end.

    No kind is left out: many findings of one kind must not hide another kind from the rules.
    """
    findings = tuple(findings)
    if len(findings) <= MAX_EQUAL_FINDINGS:  # this is the case for nearly every version
        return findings
    folded: list[Finding] = []
    counts: Counter[tuple[FindingKind, str | None]] = Counter()
    for finding in findings:
        counts[finding.kind, finding.field] += 1
        if counts[finding.kind, finding.field] <= MAX_EQUAL_FINDINGS:
            folded.append(finding)
    for (kind, field), count in counts.items():
        if (rest := count - MAX_EQUAL_FINDINGS) > 0:
            about = f" about `{field}`" if field else ""
            folded.append(Finding(kind, field, f"{rest:,} more findings{about} of this kind: {kind}", rest))
    return tuple(folded)
