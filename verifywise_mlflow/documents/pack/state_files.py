"""The files ``record.json``, ``verdicts.json``, ``history.jsonl`` and ``events.jsonl``: the state and its past."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Final

from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.compliance.badge import VERSION_RULE
from verifywise_mlflow.documents.pack.json_text import lines, pretty
from verifywise_mlflow.exports.json_documents.pack import PackRecordDocument, PackVerdictsDocument
from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.persistence.queries.history import Validity
from verifywise_mlflow.persistence.queries.record_diff import differences
from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver
from verifywise_mlflow.services.evidence_pack import PackContents
from verifywise_mlflow.services.version_dossier import JudgedRule, VersionDossier

MAX_LINES: Final = 20_000
"""The maximum number of changes in ``history.jsonl``, the newest ones. The first line states how many older changes are
left out."""


def record_json(contents: PackContents) -> bytes:
    """Return the canonical record with the origin of each value, and the missing values."""
    known, state = contents.dossier, contents.record_states[-1]
    missing = (asdict(field) for field in known.unknowns.missing_fields)
    return pretty(
        PackRecordDocument.model_validate(
            {
                **about(known),
                "valid_from": state.span.valid_from,
                "sync_id": state.span.sync_id,
                "record": json_ready(record_values(known)),
                "origins": json_ready(state.origins),
                "incomplete": json_ready(state.incomplete),
                "findings": json_ready(state.findings),
                "deleted_at": state.deleted_at,
                "missing_fields": [{**fields, "because": str(fields["because"])} for fields in missing],
            }
        ).to_json()
    )


def record_values(known: VersionDossier) -> Mapping[str, object]:
    """Return the fields of the record, in their order."""
    return {field: getattr(known.record, field) for field in FIELDS}


def about(known: VersionDossier) -> Mapping[str, object]:
    """Return the members that each document has: the version and the time."""
    return {
        "tenant": known.tenant_id,
        "model_name": known.record.model_name,
        "version_number": known.record.version_number,
        "as_of": known.as_of,
    }


def verdicts_json(contents: PackContents) -> bytes:
    """Return the badge, the verdicts with their inputs, the rules in full, the waivers, and the clauses."""
    known, policy = contents.dossier, contents.policy
    code_version = policy.document.get("code_version") if policy else None
    return pretty(
        PackVerdictsDocument.model_validate(
            {
                **about(known),
                "badge": known.badge
                and {
                    "badge": known.badge.badge,
                    "rule": VERSION_RULE,
                    "valid_from": known.badge.span.valid_from,
                    "sync_id": known.badge.span.sync_id,
                },
                "policy": policy
                and {
                    "digest": policy.digest,
                    "in_force_since": policy.valid_from,
                    "code_version": None if code_version is None else str(code_version),
                },
                "verdicts": [_verdict(judged) for judged in known.rules],
                "waivers": [_waiver(stored) for stored in known.waivers],
                "clauses": list(_clauses(known)),
                "rules": json_ready(contents.rule_documents),
            }
        ).to_json()
    )


def history_lines(contents: PackContents) -> bytes:
    """Return the changes of the record, the verdicts and the badge, the oldest first."""
    entries = [*_record_changes(contents), *_verdict_changes(contents), *_badge_changes(contents)]
    entries.sort(key=lambda entry: (str(entry["valid_from"]), str(entry["kind"]), str(entry.get("rule_id"))))
    left_out = len(entries) - MAX_LINES
    if left_out > 0:
        entries = [{"kind": "left out", "count": left_out, "reason": "older changes"}, *entries[left_out:]]
    return lines(entries)


def event_lines(contents: PackContents) -> bytes:
    """Return the events of the version's life and the changes of its files, the oldest first."""
    known = contents.dossier
    entries = [
        {
            "kind": "lifecycle event",
            "seen_at": recorded.seen_at,
            "sentence": recorded.event.sentence,
            "sync_id": recorded.sync_id,
            "event": asdict(recorded.event),
        }
        for recorded in known.lifecycle_events
    ]
    entries += [
        {
            "kind": "integrity event",
            "seen_at": seen_at,
            "sentence": event.change.sentence,
            "location": event.location,
            "former_read_at": event.former_read_at,
            "event": asdict(event.change),
        }
        for event, seen_at in known.integrity_events
    ]
    entries.sort(key=lambda entry: str(entry["seen_at"]))
    return lines(entries)


def _verdict(judged: JudgedRule) -> Mapping[str, object]:
    state = judged.verdict
    texts = ("rule_id", "rule_version", "verdict", "reason", "day", "input_hash", "policy_id", "policy_version")
    return {
        **{name: getattr(state, name) for name in texts},
        **{name: json_ready(getattr(state, name)) for name in ("values", "origins", "thresholds")},
        "title": judged.rule.title,
        "severity": judged.rule.severity,
        "valid_from": state.span.valid_from,
        "sync_id": state.span.sync_id,
        "open_since": judged.open_since if judged.is_gap else None,
        "waiver_id": judged.waiver and judged.waiver.waiver_id,
        "clauses": [{"framework": cited.framework.name, "clause": cited.clause.id} for cited in judged.clauses],
    }


def _waiver(stored: StoredWaiver) -> Mapping[str, object]:
    names = ("waiver_id", "source", "granted_at", "ended_at", "end_reason")
    return {**{name: getattr(stored, name) for name in names}, **stored.waiver.model_dump()}


def _clauses(known: VersionDossier) -> Iterator[Mapping[str, object]]:
    for framework in known.frameworks:
        for entry in known.clauses_of(framework):
            yield {
                "framework": framework.name,
                "edition": framework.edition,
                "clause": entry.cited.clause.id,
                "about": entry.cited.clause.about,
                "obtainable": entry.cited.clause.obtainable.value,
                "not_shown_by_mlflow": entry.cited.clause.blank,
                "version_shows": entry.evidence and entry.evidence.value,
                "rules": [applied.rule.rule_id for applied in entry.rules],
            }


def _span(span: Validity) -> Mapping[str, object]:
    return {
        "valid_from": span.valid_from,
        "valid_to": span.valid_to,
        "sync_id": span.sync_id,
        "ended_by_sync_id": span.ended_by_sync_id,
    }


def _record_changes(contents: PackContents) -> Iterator[dict[str, object]]:
    for before, after in pairwise([None, *contents.record_states]):
        assert after is not None  # only the first state is None
        changes = [
            {"field": change.field, "before": change.before, "after": change.after}
            for change in differences(before, after)
        ]
        yield {"kind": "record", **_span(after.span), "changes": changes}


def _verdict_changes(contents: PackContents) -> Iterator[dict[str, object]]:
    for state in contents.verdict_states:
        yield {
            "kind": "verdict",
            **_span(state.span),
            "rule_id": state.rule_id,
            "rule_version": state.rule_version,
            "verdict": state.verdict,
            "reason": state.reason,
            "policy_version": state.policy_version,
            "input_hash": state.input_hash,
        }


def _badge_changes(contents: PackContents) -> Iterator[dict[str, object]]:
    for badge in contents.dossier.badges:
        yield {"kind": "badge", **_span(badge.span), "badge": badge.badge}
