"""Resolves the names of AI systems and frameworks by which people narrow a list of versions or gaps."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.mapping.key_folding import fold
from verifywise_mlflow.persistence.queries.coverage import StoredPolicies
from verifywise_mlflow.persistence.session import TenantSession


def models_of_systems(session: TenantSession, systems: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Return the models of some AI systems, whose names are compared regardless of case and separators.

    Args:
        session: The tenant's transaction.
        systems: The system of each model.
        names: The systems.

    Raises:
        UnresolvedNameError: the tenant has no system of that name.
    """
    known = set(systems.values())
    for name in names:
        if fold(name) not in {fold(system) for system in known}:
            raise unknown_name(
                f"the tenant {quote(session.tenant_id)} has no AI system {quote(name)} with a model", name, known
            )
    wanted = {fold(name) for name in names}
    return [model for model, system in systems.items() if fold(system) in wanted]


def rules_of_frameworks(session: TenantSession, policies: StoredPolicies, names: Collection[str]) -> list[str]:
    """Return the rules that refer to some frameworks, whose names are compared regardless of case and separators.

    Raises:
        UnresolvedNameError: no rule of the tenant refers to a framework of that name.
    """
    known = {framework for clauses in policies.references.values() for framework, _ in clauses}
    for name in names:
        if fold(name) not in {fold(framework) for framework in known}:
            raise unknown_name(
                f"no rule of the tenant {quote(session.tenant_id)} refers to a framework {quote(name)}", name, known
            )
    wanted = {fold(name) for name in names}
    return [
        rule_id
        for rule_id, clauses in policies.references.items()
        if any(fold(framework) in wanted for framework, _ in clauses)
    ]
