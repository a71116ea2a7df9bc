"""The rules of a tenant's policies as they were recorded, and the parts of each rule that decide its verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from verifywise_mlflow.common.canonical_json import canonical_json, sha256_of
from verifywise_mlflow.persistence.repositories.config_versions import ConfigVersion

_DECIDING: Final = ("applies", "evidenced", "id", "requires", "version")


def rule_documents(policy: ConfigVersion | None) -> Mapping[str, Mapping[str, object]]:
    """Return the rules of all policies, by ID."""
    return dict(_rules(policy))


def deciding_parts(rule: Mapping[str, object]) -> Mapping[str, object]:
    """Return the parts of a recorded rule that determine its verdict. ``input_hash.rule_digest`` hashes them."""
    conditions = rule.get("conditions")
    decided_by = [
        {name: condition.get(name) for name in ("holds", "otherwise")}
        for condition in (conditions if isinstance(conditions, list) else ())
        if isinstance(condition, Mapping)
    ]
    return {**{name: rule.get(name) for name in _DECIDING}, "conditions": decided_by}


def recorded_digest(rule: Mapping[str, object]) -> str:
    """Return the digest of a recorded rule, equal to the result of ``input_hash.rule_digest``."""
    return sha256_of(canonical_json(deciding_parts(rule)))


def _rules(policy: ConfigVersion | None) -> Iterator[tuple[str, Mapping[str, object]]]:
    documents = policy.document.get("policies") if policy else None
    for document in documents.values() if isinstance(documents, Mapping) else ():
        rules = document.get("rules") if isinstance(document, Mapping) else None
        if isinstance(rules, Mapping):
            yield from sorted((str(rule_id), rule) for rule_id, rule in rules.items() if isinstance(rule, Mapping))
