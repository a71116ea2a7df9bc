"""What a state's content is: the stored text of its columns, the same for the writer and for who verifies the tables.

A column's text is what the writer sends, before Postgres casts it: JSON with sorted keys, times in ISO 8601 in UTC. A
row that was read gives the same texts again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
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
"""The columns of a record's content, each with what makes the text that Postgres casts to the column's type."""

VERDICT_COLUMNS: Final = (
    *("rule_id", "rule_version", "verdict", "reason", "values", "policy_id", "policy_version", "origins"),
    *("thresholds", "day", "input_hash", "fingerprint"),
)
"""The parts of a verdict's content, all as text; JSON as it is stored, a day that is null as an empty text."""

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
CONFIGURATION_COLUMNS: Final = ("digest", "document")


def record_content(row: Mapping[str, object]) -> dict[str, str | None]:
    """Return the content of a record from a row of ``canonical_records`` or its history."""
    return {
        name: None if (value := row[name]) is None else to_text(_in_utc(value))
        for name, to_text in RECORD_COLUMNS.items()
    }


def verdict_content(cells: Iterable[str]) -> Content:
    """Return the content of a verdict from the texts of ``VERDICT_COLUMNS``."""
    return dict(zip(VERDICT_COLUMNS, cells, strict=True))


def evaluation_content(verdicts: Mapping[str, str], kept: Mapping[str, str], badge: str) -> Content:
    """Return the content of an evaluation: all verdicts that a version has since then, and its badge.

    The newest evaluation alone says which verdicts are in force. If it named the verdicts that stayed by their rules
    only, a proof could pass a former verdict off as one of them.

    Args:
        verdicts: the rules whose verdicts began with it, each with the hash of the verdict's content.
        kept: the rules whose verdicts stayed, each with the verdict's fingerprint, which is a part of its content.
        badge: the badge, whether it began or stayed; empty if there is none any more.
    """
    return {"badge": badge, "kept": dict(kept), "verdicts": dict(verdicts)}


def manifest_content(manifest_text: str) -> Content:
    """Return the content of a manifest from its JSON with sorted keys."""
    return {"manifest": manifest_text}


def row_content(table: Table, columns: Iterable[str], row: Mapping[str, object]) -> Content:
    """Return the content of a row of a table with events, waivers or configurations."""
    return {name: None if (value := row[name]) is None else _text(table, name, value) for name in columns}


def content_id(content: str) -> str:
    """Return what identifies an event among those of its version: a part of the hash of its content."""
    return content[:16]


def hash_of_row(table: Table, columns: Iterable[str], row: Mapping[str, object]) -> str:
    """Return the hash of a row's content."""
    return content_hash(row_content(table, columns, row))


def _text(table: Table, name: str, value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return text_form(table.c[name].type).to_text(_in_utc(value))


def _in_utc(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
