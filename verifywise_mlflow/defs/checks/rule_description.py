"""A rule as its check's page describes it, once for all tenants: what it asks, why, and what to do where it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.compliance.rules.policy import Policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.defs.markdown import inert_markdown, pages_of_references

_HOW_TO_READ: Final = (
    "A warning says that versions fail this rule, that MLflow shows no evidence for it ('not evidenced', which is not "
    "non-compliance: it may be done and documented elsewhere), or that it could not be evaluated. Gaps that a waiver "
    "covers stay gaps and are counted beside; a check passes where no other is open. Of the verdicts, those are left "
    "out that no version has; of the gaps, the five worst are shown. Where a tenant's policy says otherwise than this "
    "page, its result says so."
)


@dataclass(frozen=True, slots=True)
class DescribedRule:
    """A rule, and the policy that asks for it."""

    rule: Rule
    policy: Policy

    @property
    def policy_name(self) -> str:
        """The policy with its version."""
        return f"{self.policy.id} {self.policy.version}"

    @property
    def markdown(self) -> str:
        """What the check's page says. A tenant's own policy is text in it and nothing else."""
        rule = self.rule
        return "\n\n".join(
            (
                f"{_inert(rule.title)}.",
                f"**Why:** {_inert(rule.rationale)}",
                f"**What to do:** {_inert(rule.remedy)}",
                f"Severity {rule.severity.value}, asked by the policy {self.policy_name}. Gives evidence for:",
                pages_of_references(rule.references).md_str or "",
                f"**How to read it:** {_HOW_TO_READ}",
            )
        )


def _inert(text: str) -> str:
    return inert_markdown(" ".join(text.split()))  # YAML folds or keeps lines, as it is asked


def check_name(rule_id: str) -> str:
    """Return a rule's id as Dagster takes it for a name."""
    return rule_id.replace("-", "_")
