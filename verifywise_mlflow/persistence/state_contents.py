"""The content of a state: the stored texts of its columns. A writer and a verifier compute the same content.

A column's text is what the writer sends, before Postgres casts it: JSON with sorted keys, times in ISO 8601 in UTC. The
same texts can be made again from a row that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final

from sqlalchemy import Table

from verifywise_mlflow.audit.state_leaf import Content, content_hash
from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.persistence.bulk_upsert import text_form
from verifywise_mlflow.persistence.tables import canonical_records

RECORD_COLUMNS: Final = {
    name: text_form(canonical_records.c[name].type).to_text
    for name in (*FIELDS, "origins", "incomplete", "findings", "deleted_at")
}
"""The columns of a record's content, each with a function that turns a value into text. Postgres casts that text to the
column's type."""

VERDICT_COLUMNS: Final = (
    *("rule_id", "rule_version", "verdict", "reason", "values", "policy_id", "policy_version", "origins"),
    *("thresholds", "day", "input_hash", "fingerprint"),
)
"""The cells of a verdict, all as text: JSON as it is stored, and a day that is null as an empty text."""
STORED_VERDICT_COLUMNS: Final = (
    *("rule_ids", "rule_versions", "verdicts", "reasons", "values", "policy_ids", "policy_versions", "origins"),
    *("thresholds", "days", "input_hashes", "fingerprints"),
)
"""The columns of ``version_verdicts`` that store the cells, in the same order."""
VERDICT_ARRAYS: Final = frozenset(("rule_ids", "verdicts", "fingerprints"))
"""The stored columns that are arrays. The others are joined texts."""
CELL_SEPARATOR: Final = "\x1e"
"""The character between the cells of a joined column. No cell contains it: see ``verdict_bulk_writer``."""

_SHARED_COLUMNS: Final = frozenset(("rule_id", "rule_version", "policy_id", "policy_version", "thresholds", "day"))
"""The columns that are usually equal in all versions that a policy evaluated on the same day."""

LIFECYCLE_COLUMNS: Final = ("version_number", "incarnation", "kind", "alias", "previous", "value", "happened_at")
INTEGRITY_COLUMNS: Final = (
    *("incarnation", "location", "kind", "root", "path", "former_sha256", "sha256", "former_size", "size"),
    "former_read_at",
)
WAIVER_COLUMNS: Final = (*("rule_id", "model", "version_number", "approver", "reason", "expires_on", "source"),)
WAIVER_END_COLUMNS: Final = ("end_reason",)
PROMPT_VERSION_COLUMNS: Final = (
    *("prompt_name", "version_number", "created_at", "last_updated_at", "aliases", "commit_message", "prompt_type"),
    *("template_sha256", "template_length", "variables", "has_response_format", "model_config", "tags", "problems"),
    *("incarnation", "deleted_at"),
)
AGENT_COLUMNS: Final = (
    *("model_id", "name", "status", "experiment_id", "experiment_name", "source_run_id", "created_at"),
    *("last_updated_at", "params", "metrics", "tags", "linked_prompts", "problems", "incarnation", "deleted_at"),
)
CONFIGURATION_COLUMNS: Final = ("digest", "document")


def record_content(row: Mapping[str, object]) -> dict[str, str | None]:
    """Return the content of a record from a row of ``canonical_records`` or its history."""
    return {
        name: None if (value := row[name]) is None else to_text(_in_utc(value))
        for name, to_text in RECORD_COLUMNS.items()
    }


def joined_columns(verdicts: Iterable[Sequence[str]]) -> list[str]:
    """Return the columns of verdicts, each as one text: the cells in the order of the verdicts, joined."""
    return [CELL_SEPARATOR.join(cells) for cells in zip(*verdicts, strict=True)]


def column_hashes(columns: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256, in hex, of each joined column of verdicts, by the column's name; nothing without verdicts.

    Hashing each column costs a fifth of hashing each verdict. A version has about four times as many verdicts as a
    verdict has columns, and the columns are joined anyway when they are written.
    """
    if not columns:
        return {}
    return {
        name: _cached_hash(column) if name in _SHARED_COLUMNS and len(column) < _MAX_CACHED else column_hash(column)
        for name, column in zip(VERDICT_COLUMNS, columns, strict=True)
    }


def column_hash(column: str) -> str:
    """Return the SHA-256, in hex, of a joined column."""
    return sha256(column.encode()).hexdigest()


_MAX_CACHED: Final = 20_000
"""The longest joined column whose hash is cached, in characters."""
_cached_hash = lru_cache(maxsize=32)(column_hash)


def evaluation_content(columns: Mapping[str, str], kept: Mapping[str, str], badge: str) -> Content:
    """Return the content of an evaluation: all verdicts that a version has after it, and the badge.

    Only the newest evaluation states which verdicts are in force. It names each verdict that stayed by its rule and its
    fingerprint. With the rule alone, a proof could present a former verdict of that rule as a verdict in force.

    Args:
        columns: ``column_hashes`` of the verdicts that began with the evaluation, which are sorted by their rules.
        kept: the rules whose verdicts stayed, each with the verdict's fingerprint, which is one of its cells.
        badge: the badge, whether it began or stayed; empty if the version has no badge any more.
    """
    return {"badge": badge, "kept": dict(kept), "verdicts": dict(columns)}


def manifest_content(manifest_text: str) -> Content:
    """Return the content of a manifest from its JSON with sorted keys."""
    return {"manifest": manifest_text}


def row_content(table: Table, columns: Iterable[str], row: Mapping[str, object]) -> Content:
    """Return the content of a row: the texts of some of its columns, None for null."""
    return {name: None if (value := row[name]) is None else _text(table, name, value) for name in columns}


def content_id(content: str) -> str:
    """Return the part of a content's hash that identifies an event among the events of its version."""
    return content[:16]


def hash_of_row(table: Table, columns: Iterable[str], row: Mapping[str, object]) -> str:
    """Return the hash of a row's content."""
    return content_hash(row_content(table, columns, row))


def _text(table: Table, name: str, value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return _to_text(table, name)(_in_utc(value))


@lru_cache(maxsize=100)
def _to_text(table: Table, name: str) -> Callable[[object], str]:
    return text_form(table.c[name].type).to_text


def _in_utc(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
