"""Explains a verdict of any time: finds the rule and the record of that time, and evaluates the rule again.

Three comparisons are made. First, the stored hash is compared with the values that are stored with the verdict. Second,
these values are compared with the record of that time. Third, the stored verdict is compared with the verdict that the
rule now gives on that record. Differences are reported, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from pydantic import ValidationError

from verifywise_mlflow import __version__
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.input_hash import input_hash, rule_digest
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.field_paths import ENVIRONMENT_FACTS
from verifywise_mlflow.compliance.rules.policy import Policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.rules.ruleset import merge_policies
from verifywise_mlflow.compliance.rules.versions_in_use import VersionsInUse
from verifywise_mlflow.compliance.verdict import RuleResult
from verifywise_mlflow.normalizer.unread_object import unread_objects_from_json
from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.queries.history import RecordState, VerdictState
from verifywise_mlflow.persistence.repositories import config_versions, waivers
from verifywise_mlflow.persistence.repositories.config_versions import ConfigVersion
from verifywise_mlflow.persistence.repositories.versions_in_use import versions_in_use_at
from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.sandboxed_evaluation import SandboxedEvaluator


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict with its inputs, and whether the rule gives the same verdict on these inputs again."""

    verdict: VerdictState
    rule_document: Mapping[str, object] | None
    """The rule as the policy contained it then; None if it is not known."""
    adopted_at: datetime | None
    """When the policy came into force."""
    code_version: str | None
    """The release that gave the verdict."""
    record_revision: int | None
    """The revision of the record that was evaluated."""
    recomputed: RuleResult | None
    problems: tuple[str, ...]
    """Why the verdict does not follow from its stored inputs; empty if the verdict follows from them."""
    remarks: tuple[str, ...]
    waivers: Sequence[StoredWaiver]
    """The waivers that covered the verdict at the requested time."""

    @property
    def is_reproduced(self) -> bool:
        """Whether the rule gives the same verdict on the same values again."""
        return not self.problems


def explain_verdict(session: TenantSession, key: Key, rule_id: str, at: datetime) -> Explanation | None:
    """Return why a rule gave its verdict on a version at a given time; None if there was no verdict."""
    verdicts = history.verdicts_as_of(session, key, at)
    verdict = next((verdict for verdict in verdicts if verdict.rule_id == rule_id), None)
    if verdict is None:
        return None
    given_at = verdict.span.valid_from
    policies = config_versions.config_version(session, "policy", at=given_at)
    record = history.record_as_of(session, key, given_at)
    versions = versions_in_use_at(session, key[0], given_at, history.record_states)
    rule_document = _find_rule(policies, rule_id)
    problems, recomputed = _reproduce(verdict, rule_document, record, versions)
    code_version = str(policies.document.get("code_version")) if policies else None
    remarks = []
    if code_version and code_version != __version__:
        remarks.append(f"release {code_version} gave the verdict; this is release {__version__}")
    if verdict.day:
        remarks.append(f"the rule depends on the day; the verdict was first given on {verdict.day.isoformat()}")
    if any(path.partition(".")[0] in ENVIRONMENT_FACTS for path in verdict.values):
        remarks.append("what is known of the packages from outside of MLflow is what is stored with the verdict")
    if any(isinstance(value, Mapping) and "$sha256" in value for value in verdict.values.values()):
        remarks.append(
            "a value is too long to be stored with the verdict: only its digest is; the record has the value"
        )
    return Explanation(
        verdict=verdict,
        rule_document=rule_document,
        adopted_at=policies.valid_from if policies else None,
        code_version=code_version,
        record_revision=record.revision if record else None,
        recomputed=recomputed,
        problems=tuple(problems),
        remarks=tuple(remarks),
        waivers=[stored for stored in waivers.waivers_in_force(session, at) if stored.waiver.covers(rule_id, *key)],
    )


def _find_rule(policies: ConfigVersion | None, rule_id: str) -> Mapping[str, object] | None:
    """Return a rule from a recorded version of the policies."""
    documents = policies.document.get("policies") if policies else None
    if not isinstance(documents, Mapping):
        return None
    for policy in documents.values():
        rules = policy.get("rules") if isinstance(policy, Mapping) else None
        rule = rules.get(rule_id) if isinstance(rules, Mapping) else None
        if isinstance(rule, Mapping):
            return rule
    return None


def _reproduce(
    verdict: VerdictState,
    rule_document: Mapping[str, object] | None,
    record: RecordState | None,
    versions: VersionsInUse | None,
) -> tuple[list[str], RuleResult | None]:
    if not verdict.input_hash:
        return ["the verdict has no input hash: it was not written by an evaluation"], None
    if rule_document is None:
        return ["the rule is not among the policies that were in force then"], None
    try:
        rule = Rule.model_validate(rule_document)
    except ValidationError as error:
        return [f"this release cannot read the rule of that time: {error.errors()[0]['msg']}"], None
    problems = []
    values = cast("Mapping[str, Json]", verdict.values)
    if input_hash(rule_digest(rule), values, verdict.thresholds, verdict.day) != verdict.input_hash:
        problems.append("the input hash does not match the rule and the values that are stored with the verdict")
    if record is None:
        return [*problems, "the record that it was given on is no longer stored"], None
    day = verdict.day or verdict.span.valid_from.astimezone(UTC).date()
    policy = Policy(id="as-it-was", version=1, title="As it was", thresholds=verdict.thresholds, rules=(rule,))
    findings = cast("Sequence[Mapping[str, Json]]", record.findings)
    subject = Subject(
        record.record,
        unread_objects_from_json(record.incomplete),
        findings,
        record.origins,
        versions,
        _stored_facts(values),
    )
    with SandboxedEvaluator(merge_policies([policy]), today=day) as evaluator:
        ((evaluation,),) = evaluator.evaluate([subject])
    result = evaluation.result()
    if result.input_hash != verdict.input_hash:
        problems.append("the record of that time has other values than those that are stored with the verdict")
    if result.verdict.value != verdict.verdict:
        problems.append(f"evaluated again, the rule gives {result.verdict.value!r}")
    return problems, result


def _stored_facts(values: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    """Return the environment facts that are stored with a verdict: the original facts may no longer be available."""
    facts: dict[str, dict[str, Json]] = {name: {} for name in ENVIRONMENT_FACTS}
    for path, value in values.items():
        name, _, member = path.partition(".")
        if name in facts and member:
            facts[name][member] = value
    return facts
