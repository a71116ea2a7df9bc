"""Resolves the names by which people filter versions or gaps. A misspelled name is an error, not an empty list."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from verifywise_mlflow.common.unresolved_names import MAX_CANDIDATES, unknown_name
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.mapping.key_folding import fold
from verifywise_mlflow.persistence.queries.coverage import StoredPolicies, current_policies
from verifywise_mlflow.persistence.queries.known_names import (
    FilteredName,
    names_any,
    recorded_model_names,
    recorded_owners,
)
from verifywise_mlflow.persistence.queries.version_filter import VersionFilter
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store


def models_of_systems(session: TenantSession, systems: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Return the models of some AI systems. Systems' names are compared regardless of case and separators.

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
    """Return the rules that refer to some frameworks. Frameworks' names are compared regardless of case and separators.

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


def require_known_filters(
    store: Store, tenant_ids: Sequence[str], versions: VersionFilter, rules: Iterable[str] = ()
) -> None:
    """Raise unless each model, owner and rule of a filter is known in one of the tenants.

    A name with ``*`` or ``?`` is a search, which may find nothing.

    Raises:
        UnresolvedNameError: none of the tenants has an object of that name.
    """
    named: list[tuple[FilteredName, str]] = [
        *(("model", name) for name in versions.models),
        *(("owner", name) for name in versions.owners),
        *(("rule", name) for name in rules),
    ]
    unknown = [(kind, name) for kind, name in named if not {"*", "?"} & set(name)]
    for tenant_id in tenant_ids:
        if not unknown:
            return
        with store.begin_snapshot(tenant_id) as session:
            unknown = [(kind, name) for kind, name in unknown if not _is_known(session, kind, name)]
    if unknown and tenant_ids:
        kind, name = unknown[0]
        of_tenants = f"of the tenant {quote(tenant_ids[0])}" if len(tenant_ids) == 1 else "of any of the tenants"
        sentences: Mapping[FilteredName, str] = {
            "model": f"there is no model {quote(name)} {of_tenants}",
            "owner": f"{quote(name)} is the owner of no version {of_tenants}",
            "rule": f"there is no rule {quote(name)} {of_tenants}",
        }
        raise unknown_name(sentences[kind], name, set(chain(*(_names(store, each, kind) for each in tenant_ids))))


def _is_known(session: TenantSession, kind: FilteredName, name: str) -> bool:
    if names_any(session, kind, name):
        return True
    return kind == "rule" and name.casefold() in (rule_id.casefold() for rule_id in current_policies(session).rules)


def _names(store: Store, tenant_id: str, kind: FilteredName) -> Collection[str]:
    with store.begin_snapshot(tenant_id) as session:
        if kind == "rule":
            return list(current_policies(session).rules)
        return (recorded_model_names if kind == "model" else recorded_owners)(session, MAX_CANDIDATES)
