"""Withdrawn records. MLflow no longer has the version; the version's record, verdicts and badge stay as they were.

A withdrawal only sets the tombstone of the record. Other data of the same sync is not applied to the record: MLflow
deleted the version's aliases, too, and the model's name may belong to another model by now.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, select, update

from verifywise_mlflow.audit.state_leaf import State, content_hash
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.repositories.records import append_records
from verifywise_mlflow.persistence.row_mapping import Key, is_one_of, rows_of, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import RECORD_COLUMNS, evaluation_content, record_content
from verifywise_mlflow.persistence.tables import (
    canonical_records,
    compliance_badges,
    model_versions,
    revisions,
    version_verdicts,
)


def withdraw_records(session: TenantSession, keys: Collection[Key], sync_id: str, now: datetime) -> set[Key]:
    """Copy the tombstones of deleted versions to their records, and return the keys of these records.

    A version has no record if it was deleted before a sync could build one. The record of a predecessor, which has
    another creation time, is not changed.
    """
    records, versions, badges = canonical_records, model_versions, compliance_badges
    ended_rows = (
        session.execute(
            select(
                records.c.revision,
                versions.c.deleted_at,
                *(records.c[name] for name in RECORD_COLUMNS if name != "deleted_at"),
            )
            .join(versions, same_version(records, versions))
            .where(
                records.c.tenant_id == session.tenant_id,
                is_one_of(records, keys),
                records.c.created_at.is_not_distinct_from(versions.c.created_at),
                versions.c.deleted_at.is_not(None),
            )
        )
        .mappings()
        .all()
    )
    if not ended_rows:
        return set()
    contents = [content_hash(record_content(dict(row))) for row in ended_rows]
    names = ("model_name", "version_number", "revision", "deleted_at")
    columns = {name: [row[name] for row in ended_rows] for name in names} | {"fingerprint": contents}
    ended = rows_of(records, columns)
    session.execute(
        update(records)
        .where(records.c.tenant_id == session.tenant_id, records.c.revision == ended.c.revision)
        .where(records.c.model_name == ended.c.model_name, records.c.version_number == ended.c.version_number)
        .values(
            deleted_at=ended.c.deleted_at,
            fingerprint=ended.c.fingerprint,
            revision=revisions.next_value(),
            changed_at=now,
            sync_id=sync_id,
        )
    )
    # The verdicts refer to this content. Without this update, the new revision would be evaluated.
    session.execute(
        update(badges)
        .where(badges.c.tenant_id == session.tenant_id, badges.c.record_revision == ended.c.revision)
        .where(badges.c.model_name == ended.c.model_name, badges.c.version_number == ended.c.version_number)
        .where(same_version(records, badges))
        .values(record_revision=records.c.revision)
    )
    keys_ended = [(row["model_name"], row["version_number"]) for row in ended_rows]
    append_records(session, [*zip(keys_ended, contents, strict=True)], sync_id, now)
    return {*keys_ended}


def end_predecessor_verdicts(session: TenantSession, keys: Collection[Key], sync_id: str, now: datetime) -> None:
    """Delete the verdicts and badges of a former version with the same name and number as a new one.

    The history keeps these verdicts and badges. The successor's gaps and badge begin with the successor, not with the
    predecessor. Call this before the successors' records are written.
    """
    records, versions = canonical_records, model_versions
    predecessors = (
        select(records.c.model_name, records.c.version_number)
        .join(versions, same_version(records, versions))
        .where(
            records.c.tenant_id == session.tenant_id,
            is_one_of(records, keys),
            records.c.created_at != versions.c.created_at,
        )
    )
    ended = [(name, number) for name, number in session.execute(predecessors)]
    if not ended:
        return
    write_settings = {"now": now.isoformat(), "sync_id": sync_id}
    session.execute(
        select(*(func.set_config(f"verifywise_mlflow.{name}", value, True) for name, value in write_settings.items()))
    )
    evaluated: set[Key] = set()
    for table in (version_verdicts, compliance_badges):
        rows = session.execute(
            delete(table)
            .where(table.c.tenant_id == session.tenant_id, is_one_of(table, ended))
            .returning(table.c.model_name, table.c.version_number)
        )
        evaluated |= {(name, number) for name, number in rows}
    content = content_hash(evaluation_content({}, {}, badge=""))
    states = [
        State("evaluation", escape(name), number, "", now, sync_id, content) for name, number in sorted(evaluated)
    ]
    state_log.append(session, states)
