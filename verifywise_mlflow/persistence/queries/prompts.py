"""Versions of prompts, and the versions of models whose records name prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, select

from verifywise_mlflow.persistence.queries.version_filter import ROWS_PER_FETCH
from verifywise_mlflow.persistence.repositories.asset_states import present_and_former
from verifywise_mlflow.persistence.row_mapping import Key, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_tables import PROMPT_VERSIONS
from verifywise_mlflow.persistence.tables import (
    canonical_records,
    prompt_versions,
    prompts,
    record_inputs,
)


class StoredPromptVersion(NamedTuple):
    """A version of a prompt. If the number is None, it is a prompt without versions."""

    prompt_name: str
    version_number: int | None
    aliases: Sequence[str] | None
    prompt_type: str | None
    template_sha256: str | None
    template_length: int | None
    variables: Sequence[str] | None
    has_response_format: bool | None
    model_config: Mapping[str, str] | None
    commit_message: str | None
    tags: Mapping[str, str] | None
    created_at: datetime | None
    changed_at: datetime | None
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class PromptState:
    """A state of a version of a prompt, and the period in which it was the current state."""

    version_number: int
    template_sha256: str | None
    aliases: Sequence[str]
    valid_from: datetime
    valid_to: datetime | None


def stored_prompt_versions(
    session: TenantSession, name: str | None = None, *, includes_deleted: bool = False
) -> Iterator[StoredPromptVersion]:
    """Yield the versions of all prompts, or of one prompt, sorted by name; of each prompt, the highest number first.

    A prompt without versions has one row. Prompts and versions that MLflow no longer has are left out, unless
    ``includes_deleted``.
    """
    table, versions = prompts.c, prompt_versions.c
    is_of_prompt = and_(versions.tenant_id == table.tenant_id, versions.prompt_name == table.prompt_name)
    conditions = [table.tenant_id == session.tenant_id]
    if name is not None:
        conditions.append(table.prompt_name == name)
    if not includes_deleted:
        is_of_prompt = and_(is_of_prompt, versions.deleted_at.is_(None))
        conditions.append(table.deleted_at.is_(None))
    columns = [versions[field] for field in StoredPromptVersion._fields[1:-3]]
    times = (versions.created_at, versions.changed_at, versions.deleted_at)
    query = (
        select(table.prompt_name, *columns, *times)
        .select_from(prompts.outerjoin(prompt_versions, is_of_prompt))
        .where(*conditions)
        .order_by(table.prompt_name, versions.version_number.desc())
    )
    for row in session.execute(query.execution_options(yield_per=ROWS_PER_FETCH)):
        yield StoredPromptVersion._make(row)


def prompt_names(session: TenantSession) -> list[str]:
    """Return the names of a tenant's prompts, sorted. Prompts that MLflow no longer has are included."""
    table = prompts.c
    query = select(table.prompt_name).where(table.tenant_id == session.tenant_id).order_by(table.prompt_name)
    return list(session.scalars(query))


def prompt_states(session: TenantSession, name: str) -> list[PromptState]:
    """Return the current and former states of a prompt's versions, the newest state first."""
    columns = ("version_number", "template_sha256", "aliases")
    rows = present_and_former(session, PROMPT_VERSIONS, columns, lambda table: table.c.prompt_name == name)
    states = [PromptState(*row) for row in rows]
    return sorted(states, key=lambda state: (state.valid_from, state.version_number), reverse=True)


def uses_of_prompts(session: TenantSession) -> dict[tuple[str, int | None], list[Key]]:
    """Return the living versions of models that name prompts, by the prompt's name and version."""
    records, inputs = canonical_records, record_inputs
    rows = session.execute(
        select(records.c.model_name, records.c.version_number, records.c.linked_prompts)
        .select_from(inputs.join(records, same_version(inputs, records)))
        .where(
            inputs.c.tenant_id == session.tenant_id,
            inputs.c.prompt_names.is_not(None),
            records.c.linked_prompts.is_not(None),
            records.c.deleted_at.is_(None),
        )
        .order_by(records.c.model_name, records.c.version_number)
    )
    uses: dict[tuple[str, int | None], list[Key]] = {}
    for name, number, links in rows:
        for link in links:
            uses.setdefault((link["name"], link["version"]), []).append((name, number))
    return uses
