"""Which rules a tenant's records are judged by: reads the policy files that its description names."""

from __future__ import annotations

from verifywise_mlflow.compliance.rules.policy import PolicyError, default_policy, load_policy
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.tenant import Tenant


class InvalidPoliciesError(TenantsFileError):
    """The policies that a tenant's description names cannot be used. A line for each error."""


def load_rules(tenant: Tenant) -> RuleSet:
    """Return the tenant's rules. The files are read each time: what they say now is what is judged by.

    Raises:
        UnusablePoliciesError: a file holds no policy, or what they say does not go together.
    """
    asked = tenant.compliance
    try:
        policies = [default_policy()] if asked.default_policy else []
        policies += [load_policy(path) for path in asked.policies]
        return merge_policies(policies, asked.thresholds, asked.frameworks)
    except PolicyError as error:
        told = "\n".join(f"tenant {tenant.tenant_id!r}, compliance: {line}" for line in str(error).splitlines())
        raise InvalidPoliciesError(told) from error
