"""Prompts and their versions, as the last listing returned them, and an index for the records that name prompts.

A change of a version or an alias gives the prompt itself a new revision. So a record depends on the rows of the prompts
that it names, and on no others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ARRAY, any_, cast, func, select, tuple_, update

from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.connector.models import Prompt, PromptVersion
from verifywise_mlflow.normalizer.prompt_links import PromptIndex, RegisteredPrompt, RegisteredPromptVersion
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_FETCH
from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.repositories import asset_states, tenancy
from verifywise_mlflow.persistence.repositories.registry import ListedObject, StoredObject
from verifywise_mlflow.persistence.row_mapping import Key, Row, columns_of, rows_of, upsert
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_tables import PROMPT_VERSIONS
from verifywise_mlflow.persistence.tables import prompt_versions, prompts, revisions, stage_refreshes

LISTING: Final = "prompts"
"""The name under which ``stage_refreshes`` records a complete listing of prompts."""


@value_object
class ListedPromptVersion:
    """A version of a prompt, and the version's aliases from the prompts' listing, sorted."""

    version: PromptVersion
    aliases: Sequence[str]


@value_object
class KnownPrompts:
    """The stored state of a tenant's prompts."""

    by_name: Mapping[str, StoredObject]
    """All prompts, tombstones included."""
    were_listed: bool
    """Whether all prompts were ever listed. Before the first such listing, a prompt that is not stored may exist."""


def known_prompts(session: TenantSession) -> KnownPrompts:
    """Return the stored state of a tenant's prompts with one statement, since each sync needs it."""
    table, listings = prompts.c, stage_refreshes.c
    of_listing = select(listings.stage).where(listings.tenant_id == session.tenant_id, listings.stage == LISTING)
    were_listed = select(of_listing.exists().label("were_listed")).subquery("listing")
    columns = (table.prompt_name, table.fingerprint, table.deleted_at.is_not(None), table.created_at, table.incarnation)
    rows = session.execute(
        select(were_listed.c.were_listed, *columns).select_from(
            were_listed.outerjoin(prompts, table.tenant_id == session.tenant_id)
        )
    ).all()
    stored = {name: StoredObject(*columns) for _, name, *columns in rows if name is not None}
    return KnownPrompts(stored, rows[0].were_listed)


def stored_versions(session: TenantSession, names: Collection[str] | None = None) -> dict[Key, StoredObject]:
    """Return the stored versions of prompts by key, tombstones included: of all prompts, or of the named prompts."""
    table = prompt_versions.c
    columns = (table.fingerprint, table.deleted_at.is_not(None), table.created_at, table.incarnation)
    query = select(table.prompt_name, table.version_number, *columns).where(table.tenant_id == session.tenant_id)
    if names is not None:
        query = query.where(table.prompt_name == any_(cast(list(names), ARRAY(Text))))
    rows = session.execute(query.execution_options(yield_per=ROWS_PER_FETCH))
    return {(name, number): StoredObject(*stored) for name, number, *stored in rows}


def newest_update(session: TenantSession) -> int | None:
    """Return when a living prompt was last updated, in milliseconds since 1970; None if no such time is known."""
    table = prompts.c
    is_living = (table.tenant_id == session.tenant_id, table.deleted_at.is_(None))
    newest = session.scalar(select(func.max(table.last_updated_at)).where(*is_living))
    return None if newest is None else round(newest.timestamp() * 1000)


def aliases_by_version(session: TenantSession, names: Collection[str]) -> dict[Key, list[str]]:
    """Return the sorted aliases of each living version of the named prompts. Versions without aliases are left out."""
    table = prompt_versions.c
    rows = session.execute(
        select(table.prompt_name, table.version_number, table.aliases).where(
            table.tenant_id == session.tenant_id,
            table.prompt_name == any_(cast(list(names), ARRAY(Text))),
            table.deleted_at.is_(None),
            table.aliases != [],
        )
    )
    return {(name, number): aliases for name, number, aliases in rows}


def write_prompts(session: TenantSession, listed: Sequence[ListedObject[Prompt]], now: datetime) -> None:
    """Upsert prompts."""
    rows: list[Row] = []
    for change in listed:
        row = columns_of(change.entity)
        row["prompt_name"] = row.pop("name")
        rows.append({**row, **change.row_values(session.tenant_id, now)})
    upsert(session, prompts, rows)


def write_versions(
    session: TenantSession, listed: Sequence[ListedObject[ListedPromptVersion]], sync_id: str, now: datetime
) -> None:
    """Upsert versions of prompts, and append their states to the log."""
    rows: list[Row] = [
        {
            **columns_of(change.entity.version),
            "aliases": list(change.entity.aliases),
            "sync_id": sync_id,
            **change.row_values(session.tenant_id, now),
        }
        for change in listed
    ]
    asset_states.write_states(session, PROMPT_VERSIONS, rows, sync_id, now)


def mark_prompts_deleted(session: TenantSession, names: Collection[str], sync_id: str, now: datetime) -> int:
    """Soft delete (tombstone) prompts and their versions; return how many rows were living."""
    table = prompts
    is_named = table.c.prompt_name == any_(cast(list(names), ARRAY(Text)))
    deleted = session.execute(
        update(table)
        .where(table.c.tenant_id == session.tenant_id, is_named, table.c.deleted_at.is_(None))
        .values(deleted_at=now, changed_at=now, revision=revisions.next_value())
    )
    of_named = prompt_versions.c.prompt_name == any_(cast(list(names), ARRAY(Text)))
    return deleted.rowcount + asset_states.mark_deleted(session, PROMPT_VERSIONS, of_named, sync_id, now)


def mark_versions_deleted(session: TenantSession, keys: Collection[Key], sync_id: str, now: datetime) -> int:
    """Soft delete (tombstone) versions of prompts; return how many were living. Each prompt gets a new revision."""
    renew(session, {name for name, _ in keys})
    names, numbers = [name for name, _ in keys], [number for _, number in keys]
    wanted = rows_of(prompt_versions, {"prompt_name": names, "version_number": numbers})
    key = tuple_(prompt_versions.c.prompt_name, prompt_versions.c.version_number)
    is_wanted = key.in_(select(wanted.c.prompt_name, wanted.c.version_number))
    return asset_states.mark_deleted(session, PROMPT_VERSIONS, is_wanted, sync_id, now)


def renew(session: TenantSession, names: Collection[str]) -> None:
    """Give prompts a new revision, so that the records that name them are built again."""
    if names:
        is_named = prompts.c.prompt_name == any_(cast(list(names), ARRAY(Text)))
        of_tenant = prompts.c.tenant_id == session.tenant_id
        session.execute(update(prompts).where(of_tenant, is_named).values(revision=revisions.next_value()))


def were_listed(session: TenantSession) -> bool:
    """Return whether all prompts were ever listed. Before, a prompt that is not stored may exist."""
    return LISTING in tenancy.stage_refreshes_of(session)


def record_complete_listing(session: TenantSession, sync_id: str, now: datetime) -> None:
    """Record that all prompts were listed."""
    tenancy.record_refresh(session, LISTING, sync_id, now, reconciled=True)


def prompt_index(session: TenantSession) -> PromptIndex | None:
    """Return all stored prompts by name, deleted ones included; None if they were never listed completely."""
    if not were_listed(session):
        return None
    table, versions = prompts.c, prompt_versions.c
    by_name: dict[str, dict[int, RegisteredPromptVersion]] = {}
    key = (versions.prompt_name, versions.version_number)
    query = select(*key, versions.template_sha256, versions.deleted_at.is_not(None))
    rows = session.execute(
        query.where(versions.tenant_id == session.tenant_id).execution_options(yield_per=ROWS_PER_FETCH)
    )
    for name, number, template_sha256, is_deleted in rows:
        by_name.setdefault(name, {})[number] = RegisteredPromptVersion(template_sha256, is_deleted)
    named = session.execute(
        select(table.prompt_name, table.revision, table.aliases, table.deleted_at.is_not(None)).where(
            table.tenant_id == session.tenant_id
        )
    )
    return {
        name: RegisteredPrompt(revision, {} if is_deleted else aliases, by_name.get(name, {}), is_deleted)
        for name, revision, aliases, is_deleted in named
    }
