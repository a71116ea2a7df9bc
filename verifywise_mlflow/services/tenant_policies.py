"""Loads the rules that a tenant's records are evaluated by, from the policy files that its settings name."""

from __future__ import annotations

from verifywise_mlflow.compliance.rules.policy import PolicyError, default_policy, load_policy
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.tenant import Tenant


class InvalidPoliciesError(TenantsFileError):
    """The policies that a tenant's settings name cannot be used. The message has one line per error."""


def load_rules(tenant: Tenant) -> RuleSet:
    """Return the tenant's rules. The files are read at each call, so that an edit takes effect at the next sync.

    Raises:
        InvalidPoliciesError: a file does not hold a policy, or the policies contradict each other.
    """
    compliance = tenant.compliance
    try:
        policies = [default_policy()] if compliance.default_policy else []
        policies += [load_policy(path) for path in compliance.policies]
        return merge_policies(policies, compliance.thresholds, compliance.frameworks)
    except PolicyError as error:
        lines = (f"tenant {tenant.tenant_id!r}, compliance: {line}" for line in str(error).splitlines())
        raise InvalidPoliciesError("\n".join(lines)) from error
