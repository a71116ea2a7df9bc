"""Derives verdicts again: the hash of their inputs from the stored values, the verdicts from the stored record.

Both derivations need the rules of that time. The stored config versions contain them in full. A verdict of another
release is not evaluated again, since that release may have interpreted rules differently.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Final

from pydantic import ValidationError

from verifywise_mlflow import __version__
from verifywise_mlflow.common.closeable import Closeable
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.badge import version_badge
from verifywise_mlflow.compliance.input_hash import hash_body, hash_input_body, input_hash, rule_digest
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.field_paths import ENVIRONMENT_FACTS
from verifywise_mlflow.compliance.rules.policy import Policy, PolicyError, default_policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.normalizer.unread_object import unread_objects_from_json
from verifywise_mlflow.persistence.pg_text_codec import unescape
from verifywise_mlflow.persistence.queries.history import record_as_of, record_states
from verifywise_mlflow.persistence.repositories.config_versions import ConfigVersion, all_config_versions
from verifywise_mlflow.persistence.repositories.verdict_batch import PolicyIdentity, VerdictRows
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import VerdictRow
from verifywise_mlflow.persistence.repositories.verdicts import reads_versions
from verifywise_mlflow.persistence.repositories.versions_in_use import versions_in_use_at
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.record_verification.forged_cells import day_or_none, json_or_none
from verifywise_mlflow.services.sandboxed_evaluation import SandboxedEvaluator

MAX_EVALUATORS: Final = 8
"""The maximum number of compiled policies of a period that stay in memory, each for one day."""


@dataclass(frozen=True, slots=True)
class DerivedVerdicts:
    """The verdicts that the rules give on the record of a given time."""

    rows: Mapping[str, VerdictRow]
    """The verdicts, by rule."""
    badge: str


@dataclass(slots=True)
class PolicyPeriod:
    """The policies that were in force from a given time on."""

    since: datetime
    document: Mapping[str, object]
    _digests: dict[str, str] | None = None
    _rules: RuleSet | None = None
    _evaluators: dict[date, SandboxedEvaluator] = field(default_factory=dict)

    @property
    def is_of_this_release(self) -> bool:
        """Whether this release adopted the policies."""
        return self.document.get("code_version") == __version__

    def digests(self) -> Mapping[str, str]:
        """Return the digest of each readable rule, by its ID; empty if another release adopted the policies."""
        if self._digests is None:
            self._digests = {}
            if self.is_of_this_release:
                for document in self._rule_documents():
                    with suppress(ValidationError):
                        rule = Rule.model_validate(document)
                        self._digests[rule.id] = rule_digest(rule)
        return self._digests

    def rules(self) -> RuleSet | None:
        """Return the policies; None if another release adopted the policies, or if they cannot be read."""
        if self._rules is None and self.is_of_this_release:
            documents, thresholds = self.document.get("policies"), self.document.get("thresholds")
            if isinstance(documents, Mapping) and isinstance(thresholds, Mapping):
                with suppress(ValidationError, PolicyError, TypeError, KeyError, AttributeError):
                    policies = [_policy(document) for document in documents.values()]
                    self._rules = merge_policies(policies, {str(name): value for name, value in thresholds.items()})
        return self._rules

    def evaluator(self, day: date) -> SandboxedEvaluator | None:
        """Return the compiled rules for a day; None if ``rules`` returns None."""
        rules = self.rules()
        if rules is None:
            return None
        if day not in self._evaluators:
            if len(self._evaluators) >= MAX_EVALUATORS:
                self.close()
            self._evaluators[day] = SandboxedEvaluator(rules, today=day)
        return self._evaluators[day]

    def close(self) -> None:
        """End the processes of the evaluators."""
        for evaluator in self._evaluators.values():
            evaluator.close()
        self._evaluators.clear()

    def _rule_documents(self) -> Iterable[Mapping[str, object]]:
        policies = self.document.get("policies")
        for policy in policies.values() if isinstance(policies, Mapping) else ():
            rules = policy.get("rules") if isinstance(policy, Mapping) else None
            yield from rules.values() if isinstance(rules, Mapping) else ()


class Judge(Closeable):
    """Derives verdicts with the policies of their time."""

    def __init__(self, session: TenantSession) -> None:
        """Read the versions of the policies."""
        versions = _since_clock_went_back(all_config_versions(session, "policy"))
        self._periods = [PolicyPeriod(version.valid_from, _document(version)) for version in versions]
        self._starts = [period.since for period in self._periods]
        self._session = session

    def close(self) -> None:
        """End the processes that evaluated tenants' own rules."""
        for period in self._periods:
            period.close()

    def period_at(self, at: datetime) -> PolicyPeriod | None:
        """Return the policies in force at a given time; None if they are not known."""
        place = bisect_right(self._starts, at)
        return self._periods[place - 1] if place else None

    def evaluate(self, key: Key, at: datetime, stored_values: Iterable[str]) -> DerivedVerdicts | None:
        """Return the verdicts of the rules of a given time on a version's record of that time; None if not known.

        Args:
            key: The version, with its name as Postgres stores it.
            at: The time.
            stored_values: The values that are stored with the version's verdicts, as JSON. Some of them are facts from
                outside of MLflow that may not be available elsewhere any more.

        Raises:
            RuleWorkerUnavailableError: a tenant's own rule needs a process, and none could be started.
        """
        name, number = unescape(key[0]), key[1]
        period = self.period_at(at)
        evaluator = period.evaluator(at.astimezone(UTC).date()) if period else None
        rules = period.rules() if period else None
        if evaluator is None or rules is None:
            return None
        try:
            subject = self._subject_at((name, number), at, evaluator, stored_values)
            if subject is None:
                return None
            ((*results,),) = evaluator.evaluate([subject])
        except (ValueError, TypeError, LookupError, AttributeError):
            # The record has values that this program does not write. The comparison with the log reports them.
            return None
        identities = {
            rule_id: PolicyIdentity(policy.id, str(policy.version)) for rule_id, policy in rules.policy_of.items()
        }
        made = VerdictRows(identities)
        rows = {result.rule_id: made.row(result, result.fingerprint()) for result in results}
        return DerivedVerdicts(rows, version_badge(results, complete=not subject.incomplete).value)

    def _subject_at(
        self, key: Key, at: datetime, evaluator: SandboxedEvaluator, stored_values: Iterable[str]
    ) -> Subject | None:
        """Return a version's record of a time, with the other values that rules read; None if there was no record."""
        record = record_as_of(self._session, key, at)
        if record is None:
            return None
        reads_others = reads_versions(evaluator.selection)
        return Subject(
            record.record,
            unread_objects_from_json(record.incomplete),
            record.findings,  # type: ignore[arg-type]  # as records.write_records wrote them
            record.origins,
            versions_in_use_at(self._session, key[0], at, record_states) if reads_others else None,
            _facts(stored_values),
        )


def _document(version: ConfigVersion) -> Mapping[str, object]:
    """Return the policies of a config version; empty if the stored document is damaged: not an object."""
    document: object = version.document
    return document if isinstance(document, Mapping) else {}


def _since_clock_went_back(versions: Sequence[ConfigVersion]) -> Sequence[ConfigVersion]:
    """Return the versions whose times are in order. It is unknown when the other versions were in force."""
    first = max((place for place, (a, b) in enumerate(pairwise(versions), 1) if b.valid_from < a.valid_from), default=0)
    if not first:
        return versions
    latest = max(version.valid_from for version in versions[:first])
    return [version for version in versions[first:] if version.valid_from > latest]


def is_input_hash_right(digest: str, values: str, thresholds: str, day: str, stored_hash: str) -> bool:
    """Return whether the hash of a verdict's inputs follows from the values that are stored with it."""
    given_on = day_or_none(day)
    if day and given_on is None:
        return False
    body = hash_input_body(digest, thresholds, values)
    if body.isascii() and hash_body(body, given_on) == stored_hash:
        return True
    # Texts that Postgres cannot store are stored in another form than the hashed form.
    decoded_values, decoded_thresholds = json_or_none(values), json_or_none(thresholds)
    if not isinstance(decoded_values, dict) or not isinstance(decoded_thresholds, dict):
        return False
    levels = {name: value for name, value in decoded_thresholds.items() if isinstance(value, int | float)}
    return input_hash(digest, decoded_values, levels, given_on) == stored_hash


def _policy(document: Mapping[str, Mapping[str, object]]) -> Policy:
    """Return the policy of a stored document. The document has the rules by their IDs, and no examples."""
    policy = Policy.model_validate({**document, "rules": [*document["rules"].values()]})
    # The shipped policy is known to cost little, so it is evaluated in this process.
    is_shipped = _without_examples(policy) == _without_examples(default_policy())
    return default_policy() if is_shipped else policy


def _without_examples(policy: Policy) -> Mapping[str, object]:
    """Return a policy's content, with rules by ID: stored documents do not have the rules in their order."""
    dumped = policy.model_dump(mode="json", exclude={"rules": {"__all__": {"examples"}}})
    return {**dumped, "rules": {rule["id"]: rule for rule in dumped["rules"]}}


def _facts(stored_values: Iterable[str]) -> dict[str, dict[str, Json]]:
    """Return the environment facts that are stored with verdicts."""
    facts: dict[str, dict[str, Json]] = {name: {} for name in ENVIRONMENT_FACTS}
    for text in stored_values:
        if not any(f'"{name}.' in text for name in facts):
            continue
        values = json_or_none(text)
        for path, value in values.items() if isinstance(values, dict) else ():
            name, _, member = path.partition(".")
            if name in facts and member:
                facts[name][member] = value
    return facts
