"""Explains a verdict of any time: finds the rule and the record that gave it, and judges once more.

Three things are compared, each by itself: the hash with what is kept beside the verdict; what is kept with the record
as it was; the verdict with what the rule says of that record now. What does not fit is told, and never mended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from pydantic import ValidationError

from verifywise_mlflow import __version__
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.input_hash import input_hash, rule_digest
from verifywise_mlflow.compliance.rules.policy import Policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.verdict import RuleResult
from verifywise_mlflow.normalizer.record import Json
from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.queries.history import RecordState, VerdictState
from verifywise_mlflow.persistence.repositories import config_versions, waivers
from verifywise_mlflow.persistence.repositories.config_versions import Adopted
from verifywise_mlflow.persistence.repositories.waivers import KeptWaiver
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict with all that it follows from, and whether it does."""

    verdict: VerdictState
    rule: Mapping[str, object] | None
    """As it was adopted; null where that is not known."""
    adopted_at: datetime | None
    code_version: str | None
    """The release that judged."""
    record_revision: int | None
    """Of the record that was judged."""
    recomputed: RuleResult | None
    problems: tuple[str, ...]
    """Why the verdict does not follow from what is kept. Empty: it does."""
    remarks: tuple[str, ...]
    waivers: Sequence[KeptWaiver]
    """Those that stood beside it at the time that was asked for."""

    @property
    def is_reproduced(self) -> bool:
        """Whether the rule gives the same verdict on the same values once more."""
        return not self.problems


def explain_verdict(session: TenantSession, key: Key, rule_id: str, at: datetime) -> Explanation | None:
    """Return why a rule's verdict on a version was what it was at a time; None where there was none."""
    verdict = next((one for one in history.verdicts_as_of(session, key, at) if one.rule_id == rule_id), None)
    if verdict is None:
        return None
    given_at = verdict.span.valid_from
    adopted = config_versions.adopted(session, "policy", at=given_at)
    state = history.record_as_of(session, key, given_at)
    told = _find_rule(adopted, rule_id)
    problems, recomputed = _reproduce(verdict, told, state)
    code_version = str(adopted.document.get("code_version")) if adopted else None
    remarks = []
    if code_version and code_version != __version__:
        remarks.append(f"it was given by the release {code_version}; this is {__version__}")
    if verdict.day:
        remarks.append(f"the rule looks at the day; the verdict was given first on {verdict.day.isoformat()}")
    if any(isinstance(value, Mapping) and "$sha256" in value for value in verdict.values.values()):
        remarks.append("a value was too long to be kept beside the verdict: its digest is; the record has all of it")
    return Explanation(
        verdict=verdict,
        rule=told,
        adopted_at=adopted.valid_from if adopted else None,
        code_version=code_version,
        record_revision=state.revision if state else None,
        recomputed=recomputed,
        problems=tuple(problems),
        remarks=tuple(remarks),
        waivers=[one for one in waivers.holding(session, at) if one.waiver.covers(rule_id, key[0], key[1])],
    )


def _find_rule(adopted: Adopted | None, rule_id: str) -> Mapping[str, object] | None:
    """Return a rule out of the document of the policies; before 0011 there was one, under another name."""
    if adopted is None:
        return None
    policies = adopted.document.get("policies") or {"": adopted.document.get("policy")}
    if not isinstance(policies, Mapping):
        return None
    for policy in policies.values():
        rules = policy.get("rules") if isinstance(policy, Mapping) else None
        rule = rules.get(rule_id) if isinstance(rules, Mapping) else None
        if isinstance(rule, Mapping):
            return rule
    return None


def _reproduce(
    verdict: VerdictState, told: Mapping[str, object] | None, state: RecordState | None
) -> tuple[list[str], RuleResult | None]:
    if not verdict.input_hash:
        return ["it is older than the hashes of what a verdict follows from, or was written by hand"], None
    if told is None:
        return ["the rule that gave it is not among the policies that were adopted then"], None
    try:
        rule = Rule.model_validate(told)
    except ValidationError as error:
        return [f"this release cannot read the rule as it was: {error.errors()[0]['msg']}"], None
    problems = []
    values = cast("Mapping[str, Json]", verdict.values)
    if input_hash(rule_digest(rule), values, verdict.thresholds, verdict.day) != verdict.input_hash:
        problems.append("its hash is not that of the rule and the values that are kept beside it")
    if state is None:
        return [*problems, "the record that it was given for is not kept any more"], None
    day = verdict.day or verdict.span.valid_from.astimezone(UTC).date()
    policy = Policy(id="as-it-was", version=1, title="As it was", thresholds=verdict.thresholds, rules=(rule,))
    findings = cast("Sequence[Mapping[str, Json]]", state.findings)
    (again,) = Evaluator(policy, today=day).evaluate(state.record, state.incomplete, findings, state.origins)
    if again.input_hash != verdict.input_hash:
        problems.append("the record as it was then shows other values than those that are kept beside it")
    if again.verdict.value != verdict.verdict:
        problems.append(f"judged once more, the rule gives {again.verdict.value!r}")
    return problems, again
