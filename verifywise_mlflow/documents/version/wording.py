"""Words for people: labels of fields, origins of values, and meanings of clauses and verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from verifywise_mlflow.compliance.badge import BADGE_MEANINGS
from verifywise_mlflow.compliance.coverage import VersionEvidence
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.documents.blocks import Cell, Tone, shorten, show_time
from verifywise_mlflow.normalizer.mapping.key_folding import is_system_key
from verifywise_mlflow.services.unknown_facts import MissingBecause
from verifywise_mlflow.services.version_dossier import VersionDossier

VERDICT_TONES: Final[Mapping[str, Tone]] = {
    Verdict.PASS: "good",
    Verdict.FAIL: "bad",
    Verdict.ERROR: "bad",
    Verdict.NOT_EVIDENCED: "warning",
    Verdict.NOT_READ: "warning",
    Verdict.NOT_APPLICABLE: "quiet",
}
EVIDENCE_TONES: Final[Mapping[str, Tone]] = {
    VersionEvidence.SHOWN: "good",
    VersionEvidence.IN_PART: "warning",
    VersionEvidence.NOT_SHOWN: "warning",
    VersionEvidence.NOT_READ: "warning",
    VersionEvidence.FAILED: "bad",
    VersionEvidence.ERROR: "bad",
}
_EVIDENCE_WORDS: Final[Mapping[str, str]] = {
    VersionEvidence.SHOWN: "what MLflow can show",
    VersionEvidence.IN_PART: "a part",
    VersionEvidence.NOT_SHOWN: "nothing yet",
    VersionEvidence.FAILED: "the contrary",
    VersionEvidence.NOT_READ: "unknown: not read",
    VersionEvidence.ERROR: "unknown: an error",
    VersionEvidence.NOT_EVALUATED: "not evaluated",
}
_LABELS: Final[Mapping[str, str]] = {
    "artifact_uri": "Location of the run's files",
    "business_purpose": "Purpose",
    "compliance_approver": "Approved by",
    "created_at": "Created in MLflow",
    "dataset_reference": "Data sets",
    "generative_evaluation": "Assessments of answers",
    "hyperparameters": "Parameters of the training",
    "last_updated_at": "Last changed in MLflow",
    "linked_prompts": "These prompts in the registry",
    "logged_model_id": "Logged model",
    "model_kind": "Kind of model",
    "model_tier": "Tier of model risk",
    "reviewer": "Reviewed by",
    "risk_category": "Risk category",
    "source_artifact_uri": "Location of the files",
    "source_run_id": "Training run",
    "training_user": "Trained by the account",
    "validator": "Validated by",
}
_SOURCES: Final[Mapping[str, str]] = {
    "version": "Recorded by MLflow: {key} of the version",
    "version tag": "Declared by a tag of the version: {key}",
    "model": "Recorded by MLflow: {key} of the model",
    "model tag": "Declared by a tag of the model: {key}",
    "alias": "From an alias: {key}",
    "run": "Recorded by MLflow: {key} of the training run",
    "run tag": "Declared by a tag of the training run: {key}",
    "experiment": "Recorded by MLflow: {key} of the experiment",
    "logged model": "Recorded by MLflow: {key} of the logged model",
    "artifact": "Read from the version's files: {key}",
    "config": "Set by the operator for all versions: {key}",
}


def evidence_word(evidence: VersionEvidence) -> str:
    """Return how much a version shows of a clause, as the end of a sentence."""
    return _EVIDENCE_WORDS.get(evidence, evidence.value)


def label(field: str) -> str:
    """Return a field's name for people."""
    return _LABELS.get(field) or field.replace("_", " ").capitalize()


def origin_note(origin: Mapping[str, object] | None, shown: str = "") -> str:
    """Return where a value comes from, and the original text if it differs from the shown text."""
    if origin is None:
        return ""
    key, source = str(origin.get("key")), str(origin.get("source"))
    sentence = _SOURCES.get(source, f"From {source}: {{key}}").format(key=shorten(key, 200))
    if source == "run tag" and is_system_key(key):
        sentence = f"Recorded by MLflow's client: the tag {shorten(key, 200)} of the training run"
    if key == "description":
        sentence = f"Written by a person: the description of the {source}"
    raw = origin.get("raw")
    if isinstance(raw, str) and shown and raw != shown and len(raw) <= _MAX_RAW_LENGTH:
        sentence += f", written as “{raw}”"
    if origin.get("link"):
        sentence += f" ({shorten(str(origin['link']), 200)})"
    return sentence


_MAX_RAW_LENGTH: Final = 80


def field_cell(dossier: VersionDossier, field: str) -> Cell:
    """Return the value of a field with its origin, or the reason why there is no value."""
    value = getattr(dossier.record, field)
    if value is None:
        missing = next((entry for entry in dossier.unknowns.missing_fields if entry.field == field), None)
        because = missing.because if missing else MissingBecause.NOT_RECORDED
        if because is MissingBecause.NO_VALUE and missing and missing.text is not None:
            note = f"{origin_note(dossier.state.origins.get(field), 'no value')}. That text is no value."
            return Cell("no value", note, tone="warning")
        return Cell("not read" if because is MissingBecause.NOT_READ else "not recorded", tone="warning")
    shown = show_value(value)
    compared = "" if isinstance(value, datetime) else shown  # MLflow writes milliseconds
    return Cell(shown, origin_note(dossier.state.origins.get(field), compared))


def field_rows(dossier: VersionDossier, *fields: str) -> tuple[tuple[Cell, ...], ...]:
    """Return a row for each field: its label and its value."""
    return tuple((Cell(label(field)), field_cell(dossier, field)) for field in fields)


def show_value(value: object, max_length: int = 600) -> str:
    """Return a value of a record or a verdict as text."""
    if value is None:
        return "not recorded"
    if isinstance(value, datetime):
        return show_time(value)
    if isinstance(value, str):
        return shorten(value, max_length)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping) and "$sha256" in value:
        return f"a long value with the SHA-256 {value['$sha256']}"
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return shorten(", ".join(value) or "none", max_length)
    if isinstance(value, Sequence) and all(isinstance(item, Mapping) for item in value):
        return f"{len(value):,} entr{'y' if len(value) == 1 else 'ies'}"
    if isinstance(value, Mapping | Sequence):
        return shorten(json.dumps(value, ensure_ascii=False, default=str), max_length)
    return str(value)


def badge_cell(badge: str | None) -> Cell:
    """Return a badge with its meaning."""
    if badge is None:
        return Cell("not evaluated", "No rule has been evaluated on this version yet.", tone="quiet")
    meaning = BADGE_MEANINGS.get(badge)
    return Cell(badge, meaning.sentence, tone=meaning.tone) if meaning else Cell(badge)


def verdict_cell(verdict: str | None, note: str = "") -> Cell:
    """Return a verdict."""
    if verdict is None:
        return Cell("not evaluated", note, tone="quiet")
    return Cell(verdict, note, tone=VERDICT_TONES.get(verdict))
