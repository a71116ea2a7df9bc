"""The configurations that stages record: the mapping, the policies and the declared AI systems in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifywise_mlflow import __version__
from verifywise_mlflow.compliance.ai_systems import DeclaredSystem, declarations_document
from verifywise_mlflow.compliance.frameworks import own_frameworks, shipped_catalog
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.normalizer.normalize import NORMALIZER_REVISION
from verifywise_mlflow.pipeline.config_versioning import Document, record_in_stage
from verifywise_mlflow.pipeline.context import StageContext


def record_mapping_version(context: StageContext, mapping: TagMapping, digest: str) -> None:
    """Record the mapping that records are built with from now on. The digest is stored with each record's inputs."""

    def document() -> Document:
        return {
            "code_version": __version__,
            "revision": NORMALIZER_REVISION,
            "mapping": mapping.model_dump(mode="json"),
        }

    record_in_stage(context, "mapping", digest, document)


def record_policy_version(
    context: StageContext, rules: RuleSet, digest: str, facts: Mapping[str, str] | None = None
) -> None:
    """Record the policies that records are evaluated by from now on. The digest is stored with each badge.

    Args:
        context: the stage's context.
        rules: the policies.
        digest: a digest of the policies and of everything else that determines verdicts.
        facts: the digests of the environment facts that the rules read, by variable.
    """

    def document() -> Document:
        policies = {}
        for policy in rules.policies:
            dumped = policy.model_dump(mode="json", exclude={"rules": {"__all__": {"examples"}}})
            policies[policy.id] = dumped | {"rules": {rule["id"]: rule for rule in dumped["rules"]}}
        own = own_frameworks(rules.catalog)
        return {
            "code_version": __version__,
            "policies": policies,
            "thresholds": dict(rules.thresholds),
            "frameworks": {framework.name: framework.model_dump(mode="json") for framework in own},
            "environment_facts": dict(facts or {}),
            "shipped_frameworks": {name: framework.digest for name, framework in shipped_catalog().items()},
        }

    record_in_stage(context, "policy", digest, document)


def record_declared_systems(context: StageContext, systems: Sequence[DeclaredSystem]) -> None:
    """Record the tenant's declarations about its AI systems from now on; if it never declared any, record nothing."""
    document = declarations_document(systems)
    digest, in_force = fingerprint(document), context.declared_systems_digest
    if digest != in_force and (systems or in_force):
        record_in_stage(context, "ai systems", digest, lambda: document)
