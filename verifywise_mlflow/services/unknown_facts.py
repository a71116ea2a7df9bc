"""Unknown facts of a version: facts that were not read, that MLflow does not show, or that no MLflow server records.

Documents must list them, since readers take the absence of a statement for a good sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from verifywise_mlflow.artifacts.file_classifier import EVIDENCE_KINDS
from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest
from verifywise_mlflow.compliance.frameworks import Obtainable
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.origin import ValueState
from verifywise_mlflow.normalizer.record import FIELD_SPECS
from verifywise_mlflow.normalizer.unread_object import UnreadObject, unread_objects_from_json
from verifywise_mlflow.persistence.queries.coverage import StoredPolicies
from verifywise_mlflow.persistence.queries.history import RecordState, VerdictState
from verifywise_mlflow.services.clause_evidence import CitedClause
from verifywise_mlflow.services.record_parts import Environment


class MissingBecause(StrEnum):
    """Why a field of the record has no value."""

    NOT_READ = "what could have it was not read"
    NO_VALUE = "the text that is there is no value"
    NOT_RECORDED = "nothing in MLflow records it"


@dataclass(frozen=True, slots=True)
class MissingField:
    """A field without a value."""

    field: str
    description: str
    because: MissingBecause
    text: str | None = None
    """The text that does not count as a value."""


@dataclass(frozen=True, slots=True)
class Unknowns:
    """The unknown facts of a version."""

    unread_objects: tuple[UnreadObject, ...]
    missing_fields: tuple[MissingField, ...]
    """The fields without a value, in the order of the record."""
    is_manifest_missing: bool
    """Whether no list of files is recorded at all."""
    files_without_hash: tuple[ArtifactFile, ...]
    """Files whose bytes were not read: they may change without a trace. Evidence files come first."""
    environment_problems: tuple[str, ...]
    unsettled_rules: tuple[VerdictState, ...]
    """Rules without a result, because an object was not read or the evaluation failed."""
    never_in_mlflow: tuple[CitedClause, ...]
    """The clauses that need evidence from elsewhere, since no MLflow server records it."""


def find_unknowns(
    state: RecordState,
    manifest: ArtifactManifest | None,
    environment: Environment | None,
    verdicts: Sequence[VerdictState],
    never: tuple[CitedClause, ...],
) -> Unknowns:
    """Return the unknown facts of a version; ``never`` is the result of ``never_in_mlflow`` for the policies."""
    unread = unread_objects_from_json(state.incomplete)
    without_hash = [file for file in manifest.files if file.sha256 is None] if manifest else []
    return Unknowns(
        unread_objects=unread,
        missing_fields=_missing_fields(state, unread),
        is_manifest_missing=manifest is None,
        files_without_hash=tuple(sorted(without_hash, key=lambda file: file.kind not in EVIDENCE_KINDS)),
        environment_problems=environment.problems if environment else (),
        unsettled_rules=tuple(verdict for verdict in verdicts if verdict.verdict in (Verdict.NOT_READ, Verdict.ERROR)),
        never_in_mlflow=never,
    )


def never_in_mlflow(policies: StoredPolicies) -> tuple[CitedClause, ...]:
    """Return the clauses of the frameworks in use for which MLflow can show nothing."""
    names = {name for clauses in policies.references.values() for name, _ in clauses}
    return tuple(
        CitedClause(framework, clause)
        for name, framework in policies.catalog.items()
        if name in names or not names
        for clause in framework.clauses
        if clause.obtainable is Obtainable.NOT_OBTAINABLE
    )


def _missing_fields(state: RecordState, unread: Sequence[UnreadObject]) -> tuple[MissingField, ...]:
    not_read = {field for item in unread for field in item.fields}
    missing = []
    for field, spec in FIELD_SPECS.items():
        if getattr(state.record, field) is None and field not in _OF_SOME_VERSIONS:
            origin = state.origins.get(field)
            text = origin.get("raw") if isinstance(origin, Mapping) and origin.get("state") in _NO_VALUE else None
            because = MissingBecause.NOT_RECORDED
            if text is not None:
                because = MissingBecause.NO_VALUE
            elif field in not_read:
                because = MissingBecause.NOT_READ
            missing.append(MissingField(field, spec.description, because, text if isinstance(text, str) else None))
    return tuple(missing)


_NO_VALUE = frozenset(ValueState)
_OF_SOME_VERSIONS = frozenset(("linked_prompts", "generative_evaluation"))
"""Fields that only some versions need: a version that uses no prompt, or is not generative, is complete without
them."""
