"""The file ``proof.json``: hashes that ``verify.py`` recomputes, and the audit trail's entries about the version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from verifywise_mlflow.documents.pack.json_text import canonical, pretty
from verifywise_mlflow.documents.pack.state_files import about, record_values
from verifywise_mlflow.exports.json_documents.pack import PackProofDocument
from verifywise_mlflow.persistence.queries.history import VerdictState
from verifywise_mlflow.services.evidence_pack import PackContents
from verifywise_mlflow.services.policy_documents import recorded_digest


def proof_json(contents: PackContents) -> bytes:
    """Return the data that can be checked offline."""
    known, trail = contents.dossier, contents.trail
    rules = contents.rule_documents
    verdicts = [judged.verdict for judged in known.rules]
    document = PackProofDocument.model_validate(
        {
            **about(known),
            "record_sha256": _sha256(record_values(known)),
            # If the rule of a verdict has changed since the evaluation, the hash is left out: it does not follow from
            # the rules in this pack.
            "verdict_input_hashes": {
                verdict.rule_id: verdict.input_hash
                for verdict in verdicts
                if verdict.rule_id in rules and _input_hash(rules[verdict.rule_id], verdict) == verdict.input_hash
            },
            "older_entries_left_out": trail.is_truncated,
            "audit_entries": [
                {"sequence": link.sequence, "sha256": link.hash, "entry": link.text} for link in trail.links
            ],
            "checkpoint": trail.checkpoint and json.loads(trail.checkpoint.to_json_line()),
        }
    )
    return pretty(document.to_json())


def _input_hash(rule: Mapping[str, object], verdict: VerdictState) -> str:
    """Return the hash of ``compliance.input_hash``, from the recorded form of a rule: ``verify.py`` does the same."""
    return _sha256(
        {
            "day": verdict.day,
            "rule": recorded_digest(rule),
            "thresholds": verdict.thresholds,
            "values": verdict.values,
        }
    )


def _sha256(value: object) -> str:
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()
