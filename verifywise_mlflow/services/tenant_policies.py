"""Loads the rules that a tenant's records are evaluated by, from the policy files that its settings name."""

from __future__ import annotations

from verifywise_mlflow.compliance.environment_facts.end_of_life import EndOfLifeError
from verifywise_mlflow.compliance.environment_facts.environment_facts import EnvironmentFacts, load_environment_facts
from verifywise_mlflow.compliance.frameworks import Catalog, CatalogError, extend_catalog
from verifywise_mlflow.compliance.rules.policy import PolicyError, default_policy, load_policy
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.tenant import Tenant


class InvalidPoliciesError(TenantsFileError):
    """The policies or frameworks that a tenant's settings name cannot be used. The message has one line per error."""


def load_rules(tenant: Tenant) -> RuleSet:
    """Return the tenant's rules. The files are read at each call, so that an edit takes effect at the next sync.

    Raises:
        InvalidPoliciesError: a file does not contain a policy or a framework, or the policies contradict each other.
    """
    compliance = tenant.compliance
    catalog = tenant_catalog(tenant)
    try:
        policies = [default_policy()] if compliance.default_policy else []
        policies += [load_policy(path, catalog) for path in compliance.policies]
        return merge_policies(policies, compliance.thresholds, compliance.frameworks, catalog)
    except PolicyError as error:
        raise _invalid(tenant, error) from error


def load_facts(tenant: Tenant) -> EnvironmentFacts:
    """Return the facts of the operator's files about packages, Python and MLflow.

    Raises:
        InvalidPoliciesError: the file with end-of-life dates cannot be read, or does not have the expected form.
    """
    try:
        return load_environment_facts(tenant.compliance.end_of_life, tenant.compliance.vulnerability_copy)
    except EndOfLifeError as error:
        raise _invalid(tenant, error) from error


def tenant_catalog(tenant: Tenant) -> Catalog:
    """Return the frameworks that the tenant's rules may refer to. They come from the package, operator and tenant.

    Raises:
        InvalidPoliciesError: a file does not contain a framework, or has the name of another framework.
    """
    try:
        return extend_catalog(tenant.compliance.framework_files)
    except CatalogError as error:
        raise _invalid(tenant, error) from error


def _invalid(tenant: Tenant, error: Exception) -> InvalidPoliciesError:
    lines = (f"tenant {tenant.tenant_id!r}, compliance: {line}" for line in str(error).splitlines())
    return InvalidPoliciesError("\n".join(lines))
