"""The prompts of the registry: their versions, and the versions of models that use them, without prompts' texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.persistence.queries.prompts import (
    PromptState,
    StoredPromptVersion,
    prompt_names,
    prompt_states,
    stored_prompt_versions,
    uses_of_prompts,
)
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession


@value_object
class PromptRow:
    """A version of a prompt. A prompt without versions has one row, without a version number."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    prompt_name: str
    """The prompt, as MLflow names it."""
    version_number: int | None
    """The version's number in MLflow; null for a prompt without versions."""
    aliases: tuple[str, ...]
    """The aliases that point to the version, sorted."""
    prompt_type: str | None
    """text or chat; null if MLflow does not state it."""
    template_sha256: str | None
    """SHA-256 of the template's UTF-8 bytes as MLflow stores them: for a chat, JSON. The template is not stored."""
    template_length: int | None
    """The number of characters of the template."""
    variables: tuple[str, ...]
    """The names of the template's variables, sorted."""
    has_response_format: bool | None
    """Whether the version states the format of responses."""
    model: str | None
    """The provider and the model that the version is meant for, if it states them."""
    parameters: tuple[str, ...]
    """The parameters of that model, each with its value. Values of parameters that MLflow does not define are not
    stored."""
    commit_message: str | None
    """The commit message in MLflow."""
    tags: tuple[str, ...]
    """The version's tags, each with its value."""
    used_by: tuple[str, ...]
    """The versions of models whose records name this version of the prompt."""
    created_at: datetime | None
    """When MLflow created the version, UTC."""
    last_changed_at: datetime | None
    """When a sync last saw a change of the version, UTC: of its template, an alias, a tag or anything else."""
    deleted_at: datetime | None
    """Since when MLflow no longer has the version, UTC; null while it exists."""


@value_object
class PromptStateRow:
    """A state of a version of a prompt."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    version_number: int
    """The version's number in MLflow."""
    template_sha256: str | None
    """SHA-256 of the template in this state."""
    aliases: tuple[str, ...]
    """The aliases that pointed to the version in this state."""
    valid_from: datetime
    """When a sync first saw this state, UTC."""
    valid_to: datetime | None
    """When a sync first saw the next state, UTC; null for the present state."""


def prompt_rows(
    session: TenantSession, name: str | None = None, *, includes_deleted: bool = False
) -> Iterator[PromptRow]:
    """Yield the versions of a tenant's prompts, sorted by name, the newest version first.

    Args:
        session: The tenant's transaction.
        name: The prompt to yield; None for all prompts.
        includes_deleted: Whether to yield prompts and versions that MLflow no longer has, too.
    """
    uses = uses_of_prompts(session)
    for version in stored_prompt_versions(session, name, includes_deleted=includes_deleted):
        yield _row(session.tenant_id, version, uses)


def prompt_history(session: TenantSession, name: str) -> list[PromptStateRow]:
    """Return the present and former states of a prompt's versions, the newest first."""
    return [_state_row(state) for state in prompt_states(session, name)]


def require_known_prompt(session: TenantSession, name: str) -> None:
    """Raise an error if the tenant never had such a prompt.

    Raises:
        UnresolvedNameError: the tenant never had such a prompt.
    """
    names = prompt_names(session)
    if name not in names:
        tenant = quote(session.tenant_id)
        raise unknown_name(f"the tenant {tenant} has no prompt {quote(name)} in the registry", name, names)


def _row(tenant_id: str, version: StoredPromptVersion, uses: Mapping[tuple[str, int | None], list[Key]]) -> PromptRow:
    config = dict(version.model_config or {})
    model = " ".join(filter(None, (config.pop("provider", None), config.pop("model_name", None))))
    return PromptRow(
        tenant=tenant_id,
        prompt_name=version.prompt_name,
        version_number=version.version_number,
        aliases=tuple(version.aliases or ()),
        prompt_type=version.prompt_type,
        template_sha256=version.template_sha256,
        template_length=version.template_length,
        variables=tuple(version.variables or ()),
        has_response_format=version.has_response_format,
        model=model or None,
        parameters=_pairs(config),
        commit_message=version.commit_message,
        tags=_pairs(version.tags or {}),
        used_by=tuple(
            f"{name} {number}" for name, number in uses.get((version.prompt_name, version.version_number), ())
        ),
        created_at=version.created_at,
        last_changed_at=version.changed_at,
        deleted_at=version.deleted_at,
    )


def _state_row(state: PromptState) -> PromptStateRow:
    return PromptStateRow(
        state.version_number, state.template_sha256, tuple(state.aliases), state.valid_from, state.valid_to
    )


def _pairs(pairs: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{key}={value}" for key, value in sorted(pairs.items()))
