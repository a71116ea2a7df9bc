"""The models and versions that a targeted sync reads, and which of these only a listing can show.

A point read shows an object as a listing does, except for two things. It does not show whether MLflow's searches hide
the object. And it does not show what else happened under the name: if a model was deleted and another registered under
its name, the former model's versions were deleted, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime

from verifywise_mlflow.artifacts.version_origin import copy_targets, names_version
from verifywise_mlflow.connector.hidden_models import PROMPT_SOURCES
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.connector.registry_search import version_key
from verifywise_mlflow.persistence.repositories import dangling_aliases, registry
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.repositories.registry import StoredObject
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession


def named_versions(objects: Sequence[HintedObject]) -> set[Key]:
    """Return the versions among the named objects."""
    return {(item.name, item.version_number) for item in objects if _is_of_model(item) and item.version_number}


def named_models(objects: Sequence[HintedObject]) -> set[str]:
    """Return the models among the named objects, including the models of named versions."""
    return {item.name for item in objects if _is_of_model(item)}


def models_to_read(session: TenantSession, objects: Sequence[HintedObject]) -> list[str]:
    """Return the named models, and the models of new named versions: a model's tags apply to its versions."""
    versions = named_versions(objects)
    stored = registry.stored_versions(session, versions) if versions else {}
    new = {name for name, number in versions if is_gone(stored.get((name, number)))}
    return sorted(new | {item.name for item in objects if _is_of_model(item) and not item.version_number})


def _is_of_model(item: HintedObject) -> bool:
    return item.kind is ObjectKind.MODEL


def is_gone(stored: StoredObject | None) -> bool:
    """Return whether an object is not stored, or has a tombstone."""
    return stored is None or stored.is_deleted


def is_left_to_listing(created_at: datetime | None, stored: StoredObject | None, *, has_prompt_tag: bool) -> bool:
    """Return whether a point read of an object may differ from a listing.

    Args:
        created_at: when it was created.
        stored: its row.
        has_prompt_tag: whether it has the tag by which MLflow hides prompts from its searches.
    """
    if stored is None or stored.is_deleted:
        return has_prompt_tag
    is_another = None not in (created_at, stored.created_at) and created_at != stored.created_at
    return is_another or (has_prompt_tag and not stored.is_hidden)


def versions_to_read(session: TenantSession, objects: Sequence[HintedObject]) -> list[Key]:
    """Return the named versions, and versions of named models whose stored aliases differ from the model's aliases."""
    names, versions = named_models(objects), named_versions(objects)
    aliases = registry.aliases_by_version(session, names)
    others = registry.versions_with_other_aliases(session, aliases, names) - versions
    if others:
        missing = dangling_aliases.missing_numbers(session, registry.models_by_name(session, names))
        others -= {(name, number) for name, numbers in missing.items() for number in numbers}
    return [*sorted(versions), *sorted(others)]


def originals_of_new(session: TenantSession, copies: Sequence[ModelVersion]) -> set[Key]:
    """Return the versions from which new copies may have been made.

    They must be read, too: the origin of a copy is stored permanently, and another version may have taken the
    original's name since the last listing.
    """
    stored = registry.stored_versions(session, list(map(version_key, copies)))
    new = [copy for copy in copies if is_gone(stored.get(version_key(copy)))]
    return {target for copy in new for target in copy_targets(copy.source)}


def as_listed(
    session: TenantSession, read: Mapping[Key, ModelVersion], unreadable: Set[Key], left_models: Set[str]
) -> tuple[list[ModelVersion], set[Key]]:
    """Return the versions as a listing shows them, and the versions that only a listing can show.

    Args:
        session: the tenant's session, after the models were written.
        read: the versions that were read, by key.
        unreadable: versions on which the server failed.
        left_models: the models that are left to the next listing.
    """
    names = {name for name, _ in read}
    stored, models = registry.stored_versions(session, read.keys()), registry.stored_models(session, names)
    hiding = registry.models_with_hidden_versions(session, names)
    shown: dict[Key, ModelVersion] = {}
    left: set[Key] = set()
    unknown = set(unreadable)
    for key, version in read.items():
        name, before = key[0], stored.get(key)
        is_new = is_gone(before)
        if is_new and version.hidden_from_search and version.source in PROMPT_SOURCES:
            continue  # a prompt's version
        is_left = name in left_models or (is_new and name in hiding)
        if is_left or is_left_to_listing(version.created_at, before, has_prompt_tag=version.hidden_from_search):
            left.add(key)
        elif is_gone(models.get(name)):
            unknown.add(key)
        else:
            shown[key] = replace(version, hidden_from_search=before is not None and not is_new and before.is_hidden)
    while untraced := {
        key
        for key, version in shown.items()
        if is_gone(stored.get(key)) and names_version(version.source)
        if not (left | unknown).isdisjoint(copy_targets(version.source))
    }:
        left |= untraced
        shown = {key: version for key, version in shown.items() if key not in untraced}
    return [*shown.values()], left
