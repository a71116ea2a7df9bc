"""The description of a rule on its check's page: requirement, reason and remedy. It is the same for all tenants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from verifywise_mlflow.common.markdown import escape_markdown
from verifywise_mlflow.compliance.frameworks import Catalog, shipped_catalog
from verifywise_mlflow.compliance.rules.policy import Policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.defs.markdown import reference_links

_HOW_TO_READ: Final = (
    "The check warns if a version fails this rule, if MLflow shows no evidence ('not evidenced': it may be done and "
    "documented elsewhere, so this is not non-compliance), if the rule could not be evaluated, or if it is undecided, "
    "since an object could not be read ('not read', no gap of this rule). Gaps with a waiver are counted separately; "
    "the check passes if no other gap is open. A result shows the number of versions for each verdict that occurs, "
    "and the five worst gaps. It also shows where the tenant's policy differs from this page."
)


@dataclass(frozen=True, slots=True)
class RuleDescription:
    """A rule and the policy that contains it."""

    rule: Rule
    policy: Policy
    catalog: Catalog = field(default_factory=shipped_catalog)
    """The frameworks that the rule may refer to."""

    @property
    def policy_name(self) -> str:
        """The policy with its version."""
        return f"{self.policy.id} {self.policy.version}"

    @property
    def markdown(self) -> str:
        """The description on the check's page. Text from a tenant's own policy is escaped."""
        rule = self.rule
        return "\n\n".join(
            (
                f"{_escape_line(rule.title)}.",
                f"**Why:** {_escape_line(rule.rationale)}",
                f"**What to do:** {_escape_line(rule.remedy)}",
                f"Severity {rule.severity.value}, from the policy {self.policy_name}. Evidence for:",
                reference_links(rule.references, self.catalog).md_str or "",
                f"**How to read it:** {_HOW_TO_READ}",
            )
        )


def _escape_line(text: str) -> str:
    return escape_markdown(" ".join(text.split()))  # a YAML text may hold line breaks


def check_name(rule_id: str) -> str:
    """Return a rule's ID as a name that Dagster accepts."""
    return rule_id.replace("-", "_")
