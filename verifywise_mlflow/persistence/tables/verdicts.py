"""The verdicts on each version, the version's badge, the histories of verdicts and badges, waivers, and cached counts.

All verdicts on a version are in one row of ``version_verdicts``. A row of its history has the verdicts that ended
together. Such rows have an array or a text for each column of a verdict: an array has an element for each rule, a text
has a cell for each rule. ``compliance_results`` and ``compliance_result_history`` are views with a row for each
verdict. ``compliance_verdicts`` is a view with few columns, for queries over all versions.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, Column, Date, DateTime, Index, Integer, Table
from sqlalchemy import Text as PlainText
from sqlalchemy.types import TypeEngine

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.columns import (
    end_columns,
    identity_column,
    key_column,
    time_column,
    version_columns,
    version_key_columns,
)
from verifywise_mlflow.persistence.tables.schema import metadata, views


def _verdict_columns() -> tuple[Column[Any], ...]:
    return (
        Column("rule_version", Integer, nullable=False, doc="The version of the rule."),
        Column("verdict", Text, nullable=False, doc="pass, fail, not evidenced, not read, not applicable or error."),
        Column("reason", Text, nullable=False, doc="The reason for the verdict."),
        Column("values", Json, nullable=False, doc="The values that the rule read."),
        Column("policy_id", Text, nullable=False, doc="The policy that contains the rule."),
        Column("policy_version", Text, nullable=False, doc="The version of the policy."),
        time_column("evaluated_at", nullable=False, doc="When the rule was evaluated, UTC."),
        Column("sync_id", Text, nullable=False, doc="The sync that wrote the verdict, as in the audit trail."),
    )


def _input_columns() -> tuple[Column[Any], ...]:
    return (
        Column(
            "origins",
            Json,
            nullable=False,
            doc="Provenance: for each value, the tag, alias or attribute that it came from, with its original text.",
        ),
        Column("thresholds", Json, nullable=False, doc="The thresholds that the rule used."),
        Column("day", Date, doc="The date that the rule used as today, if it depends on the date."),
        Column("input_hash", PlainText, nullable=False, doc="SHA-256 of all inputs of the verdict."),
        Column(
            "fingerprint",
            PlainText,
            nullable=False,
            doc="A hash of the content, by which a sync finds a change.",
        ),
        time_column(
            "open_since", doc="Since when the gap has been open without interruption, UTC. Kept while it is not read."
        ),
    )


def _badge_columns() -> tuple[Column[Any], ...]:
    return (
        Column("badge", Text, nullable=False),
        Column("record_revision", BigInteger, nullable=False),
        Column("policy_digest", Text, nullable=False),
        time_column("evaluated_at", nullable=False),
        Column("sync_id", Text, nullable=False),
        time_column("changed_at", nullable=False),
        Column("versions_digest", PlainText),
    )


def _joined_columns() -> tuple[Column[Any], ...]:
    # JSON is stored as text, which the views cast: parsing it would take as long as the rest of a write.
    # Texts are escaped in the same way as in the views.
    types: dict[str, TypeEngine[Any]] = {
        **dict.fromkeys(("rule_ids", "verdicts", "sync_ids", "fingerprints"), ARRAY(PlainText())),
        **dict.fromkeys(("evaluated_at", "open_since"), ARRAY(DateTime(timezone=True))),
    }
    return tuple(Column(name, types.get(name, PlainText()), nullable=False) for name in _COLUMNS)


_COLUMNS: Final = (
    *("rule_ids", "rule_versions", "verdicts", "reasons", "values", "policy_ids", "policy_versions", "evaluated_at"),
    *("sync_ids", "origins", "thresholds", "days", "input_hashes", "fingerprints", "open_since"),
)

version_verdicts = Table("version_verdicts", metadata, *version_key_columns(), *_joined_columns())

version_verdict_history = Table(
    "version_verdict_history",
    metadata,
    identity_column("state_id"),
    *version_columns(),
    *_joined_columns(),
    *end_columns(),
    Index("version_verdict_history_by_version", "tenant_id", "model_name", "version_number"),
    Index("version_verdict_history_by_end", "tenant_id", "valid_to"),
)

compliance_results = Table(
    "compliance_results",
    views,
    *version_key_columns(),
    key_column("rule_id", doc="The rule's ID in its policy."),
    *_verdict_columns(),
    *_input_columns(),
)

compliance_verdicts = Table(
    "compliance_verdicts",
    views,
    *version_key_columns(),
    key_column("rule_id"),
    Column("verdict", Text, nullable=False),
    time_column("evaluated_at", nullable=False),
    time_column("open_since"),
)

compliance_result_history = Table(
    "compliance_result_history",
    views,
    Column("state_id", BigInteger, nullable=False),
    *version_columns(),
    Column("rule_id", Text, nullable=False),
    *_verdict_columns(),
    *_input_columns(),
    *end_columns(),
)

compliance_badges = Table(
    "compliance_badges",
    metadata,
    *version_key_columns(),
    *_badge_columns(),
    Index("compliance_badges_by_evaluation", "tenant_id", "evaluated_at"),
)

compliance_badge_history = Table(
    "compliance_badge_history",
    metadata,
    identity_column("state_id"),
    *version_columns(),
    *_badge_columns(),
    *end_columns(),
    Index("compliance_badge_history_by_version", "tenant_id", "model_name", "version_number"),
    Index("compliance_badge_history_by_end", "tenant_id", "valid_to"),
)

compliance_counts = Table(
    "compliance_counts",
    metadata,
    key_column("tenant_id"),
    Column("revision", BigInteger, nullable=False),
    Column("counted_revision", BigInteger),
    time_column("counted_at"),
    time_column("valid_until"),
    Column("waiver_ids", Json),
    Column("counts", Json),
)
"""A cache. Triggers raise ``revision`` with each change of the counted rows. The counts are current until such a change
or ``valid_until``, and while the same waivers are in force."""

compliance_count_buckets = Table(
    "compliance_count_buckets",
    metadata,
    key_column("tenant_id"),
    Column("first_model", PlainText, primary_key=True),
    Column("first_version", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("counted_revision", BigInteger),
    time_column("counted_at"),
    time_column("valid_until"),
    Column("basis", PlainText),
    Column("counts", PlainText),
)
"""The parts of the counts in ``compliance_counts``: each part covers the keys from its first key up to the first key of
the next bucket."""

waivers = Table(
    "waivers",
    metadata,
    identity_column("waiver_id"),
    Column("tenant_id", Text, nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version_number", Integer),
    Column("approver", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_on", Date, nullable=False),
    Column("source", Text, nullable=False),
    time_column("granted_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    time_column("ended_at"),
    Column("end_reason", Text),
    Index("waivers_by_rule", "tenant_id", "rule_id"),
)
"""Accepted gaps. A waiver is granted once and ended at most once; a trigger refuses any other update."""
