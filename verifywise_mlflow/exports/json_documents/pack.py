"""The JSON documents in an evidence pack, and what ``pack --json`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import ClassVar

from pydantic import JsonValue

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.exports.json_documents.document import JsonDocument

JsonObject = Mapping[str, JsonValue]


class _VersionDocument(JsonDocument):
    """A document about one version at a given time."""

    tenant: str
    """The tenant's name in tenants.yaml."""
    model_name: str
    """The registered model."""
    version_number: int
    """The version's number in MLflow."""
    as_of: datetime
    """The time of the state, UTC."""


@value_object
class PackedFile:
    """A file of the pack."""

    __pydantic_config__ = DESCRIBED

    name: str
    """The file's name."""
    bytes: int
    """The file's size in bytes."""
    sha256: str
    """The file's SHA-256, in hex."""


class PackDocument(_VersionDocument):
    """What ``pack --json`` prints: the archive that was written."""

    NAME: ClassVar[str] = "pack"

    path: str
    """The archive."""
    bytes: int
    """The size of the archive."""
    sha256: str
    """The SHA-256 of the archive, in hex. Note it where nobody can change it."""
    files: tuple[PackedFile, ...]
    """The files in the archive, in their order."""


@value_object
class PackedVersion:
    """A version of the AI system, and the archive of this version."""

    __pydantic_config__ = DESCRIBED

    model_name: str
    """The registered model."""
    version_number: int
    """The version's number in MLflow."""
    in_use_as: tuple[str, ...]
    """Why the version counts as in use at that time: production or staging, deployed or partly deployed, ``alias
    NAME``."""
    path: str
    """The archive."""
    bytes: int
    """The size of the archive."""
    sha256: str
    """The SHA-256 of the archive, in hex. Note it where nobody can change it."""


class PacksDocument(JsonDocument):
    """What ``pack --system --json`` prints: the archives that were written."""

    NAME: ClassVar[str] = "packs"

    tenant: str
    """The tenant's name in tenants.yaml."""
    system: str
    """The AI system."""
    as_of: datetime
    """The time of the state, UTC."""
    packs: tuple[PackedVersion, ...]
    """The archives, by model, the newest version first."""


@value_object
class MissingValue:
    """A field of the record without a value."""

    __pydantic_config__ = DESCRIBED

    field: str
    """The field's name."""
    description: str
    """What the field describes."""
    because: str
    """Why the field has no value."""
    text: str | None
    """The text that is not a value; null if there is no text."""


class PackRecordDocument(_VersionDocument):
    """``record.json`` of an evidence pack: the canonical record, with the origin of each value."""

    NAME: ClassVar[str] = "pack-record"

    valid_from: datetime
    """The time since which the record has been in this state, UTC."""
    sync_id: str
    """The sync that wrote this state; empty if no sync wrote it."""
    record: JsonObject
    """The value of each field, as docs/reference/canonical-record.md describes it; null if the value is unknown."""
    origins: Mapping[str, JsonObject]
    """Field to the origin of its value."""
    incomplete: tuple[JsonObject, ...]
    """The objects that could not be read: the kind, sentences, and the fields that depend on the object."""
    findings: tuple[JsonObject, ...]
    """What was read but looks wrong."""
    deleted_at: datetime | None
    """The time since which MLflow no longer has the version, UTC; null while the version exists."""
    missing_fields: tuple[MissingValue, ...]
    """The fields without a value, each with the reason."""


@value_object
class PackedBadge:
    """The badge of the version."""

    __pydantic_config__ = DESCRIBED

    badge: str
    """The badge."""
    rule: str
    """How badges follow from verdicts."""
    valid_from: datetime
    """The time since which the version has had this badge, UTC."""
    sync_id: str
    """The sync that wrote this state; empty if no sync wrote it."""


@value_object
class PackedPolicy:
    """The policies in force."""

    __pydantic_config__ = DESCRIBED

    digest: str
    """A hash of everything in the policies."""
    in_force_since: datetime
    """The time since which the policies have been in force, UTC."""
    code_version: str | None
    """The release that first evaluated records with these policies."""


@value_object
class CitedClauseName:
    """A clause."""

    __pydantic_config__ = DESCRIBED

    framework: str
    """The framework's name."""
    clause: str
    """The clause's number."""


@value_object
class PackedVerdict:
    """The verdict of a rule, with everything that determines the verdict."""

    __pydantic_config__ = DESCRIBED

    rule_id: str
    """The rule."""
    rule_version: int
    """The version of the rule."""
    title: str
    """What the rule requires; empty if the policies at that time do not have the rule."""
    severity: str
    """The severity of a gap; empty if the policies at that time do not have the rule."""
    verdict: str
    """pass, fail, not evidenced, not read, not applicable or error."""
    reason: str
    """What was found, what was expected and what to do."""
    values: JsonObject
    """The values that the rule read, by path. For a long value, its digest and size."""
    origins: Mapping[str, JsonObject]
    """Field to the origin of its value."""
    thresholds: JsonObject
    """The thresholds that the rule compared with."""
    day: date | None
    """The day of the evaluation, if the rule reads the day."""
    input_hash: str
    """The hash of the rule, values, thresholds and day."""
    policy_id: str
    """The policy that has the rule."""
    policy_version: str
    """The version of the policy that first led to this verdict."""
    valid_from: datetime
    """The time since which the verdict has been the same, UTC."""
    sync_id: str
    """The sync that wrote this state; empty if no sync wrote it."""
    open_since: datetime | None
    """The time since which the gap has been open, UTC; null if no gap is open. A verdict ``not read`` does not close a
    gap."""
    waiver_id: int | None
    """The waiver that covers the gap at that time; null if no waiver covers it."""
    clauses: tuple[CitedClauseName, ...]
    """The clauses that the rule gives evidence for."""


@value_object
class PackedWaiver:
    """The acceptance of a gap."""

    __pydantic_config__ = DESCRIBED

    waiver_id: int
    """The waiver's number."""
    rule: str
    """The rule."""
    model: str
    """The model, or a pattern of models."""
    version: int | None
    """The version; null for all versions."""
    approver: str
    """Who accepted the gap."""
    reason: str
    """The reason for accepting the gap."""
    expires: date
    """The last day on which the waiver is valid, UTC."""
    source: str
    """Whether the waiver was granted by file or by command."""
    granted_at: datetime
    """When the waiver was granted, UTC."""
    ended_at: datetime | None
    """When the end of the waiver was recorded, UTC; null if no end was recorded by that time."""
    end_reason: str | None
    """Why the waiver ended."""


@value_object
class PackedClause:
    """What the version shows of a clause."""

    __pydantic_config__ = DESCRIBED

    framework: str
    """The framework's name."""
    edition: str
    """The framework's edition."""
    clause: str
    """The clause's number."""
    about: str
    """What the clause is about, in our own words."""
    obtainable: str
    """How much of the clause MLflow can show at most."""
    not_shown_by_mlflow: str
    """What MLflow does not show."""
    version_shows: str | None
    """How much the version shows of the clause; null if no rule gives evidence for the clause."""
    rules: tuple[str, ...]
    """The rules that give evidence for the clause."""


class PackVerdictsDocument(_VersionDocument):
    """``verdicts.json`` of an evidence pack: the badge, the verdicts, the rules, waivers and clauses."""

    NAME: ClassVar[str] = "pack-verdicts"

    badge: PackedBadge | None
    """The badge; null before the first evaluation."""
    policy: PackedPolicy | None
    """The policies in force at the time; null before the first evaluation."""
    verdicts: tuple[PackedVerdict, ...]
    """The verdicts, the most important first."""
    waivers: tuple[PackedWaiver, ...]
    """All waivers up to that time that covered one of the rules, the oldest first."""
    clauses: tuple[PackedClause, ...]
    """The clauses of all frameworks that rules refer to."""
    rules: Mapping[str, JsonObject]
    """The rules of the policies in full, by ID."""


@value_object
class PackedEntry:
    """An entry of the audit trail."""

    __pydantic_config__ = DESCRIBED

    sequence: int
    """The place of the entry in the tenant's chain, from 1."""
    sha256: str
    """The SHA-256 of the entry's text, in hex."""
    entry: str
    """The text that was hashed: canonical JSON."""


@value_object
class PackedCheckpoint:
    """A signed statement about the audit trail."""

    __pydantic_config__ = DESCRIBED

    checkpoint: str
    """What was signed: canonical JSON."""
    signature: str
    """Ed25519, 64 bytes in hex."""


class PackProofDocument(_VersionDocument):
    """``proof.json`` of an evidence pack: hashes that ``verify.py`` recomputes, and a part of the audit trail."""

    NAME: ClassVar[str] = "pack-proof"

    record_sha256: str
    """The SHA-256 of the member ``record`` of record.json, as canonical JSON."""
    verdict_input_hashes: Mapping[str, str]
    """Rule ID to the hash of the verdict's inputs. Only verdicts that follow from the rules in this pack are
    included."""
    older_entries_left_out: bool
    """Whether there are more entries about the version than the pack has."""
    audit_entries: tuple[PackedEntry, ...]
    """The entries of the audit trail about the version, the oldest first."""
    checkpoint: PackedCheckpoint | None
    """The first checkpoint that covers these entries. If no checkpoint covers them, the last checkpoint; null if no
    checkpoint was signed."""
