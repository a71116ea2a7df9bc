"""Traces the copies of a listing to their originals, which may be in the listing or among the tombstones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from verifywise_mlflow.artifacts.version_origin import (
    MAX_COPY_HOPS,
    VersionOrigin,
    copy_targets,
    names_version,
    trace_origin,
)
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.persistence.repositories import registry
from verifywise_mlflow.persistence.repositories.registry import StoredCopy
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession


@dataclass(frozen=True, slots=True)
class TracedCopies:
    """The origins of the listed versions that are copies."""

    origins: Mapping[Key, VersionOrigin]
    outdated: Set[Key]
    """Copies whose stored origin differs, such as those whose original was not listed before."""


def trace_copies(session: TenantSession, listed: Sequence[ModelVersion]) -> TracedCopies:
    """Return the origins of the copies in a listing. Costs no request to MLflow."""
    copies = [version for version in listed if names_version(version.source)]
    if not copies:
        return TracedCopies({}, frozenset())
    stored = registry.stored_copies(session)
    versions = {(version.model_name, version.version_number): version for version in listed}
    versions = _unlisted_originals(session, copies, versions) | versions

    def find_origin(version: ModelVersion) -> VersionOrigin | None:
        copy = stored.get((version.model_name, version.version_number))
        return copy.origin if copy and copy.origin.problem is None and copy.is_same_copy(version) else None

    origins = {
        (version.model_name, version.version_number): trace_origin(
            version, lambda name, number: versions.get((name, number)), find_origin
        )
        for version in copies
    }
    outdated = {key for key, origin in origins.items() if _is_outdated(stored.get(key), versions[key], origin)}
    return TracedCopies(origins, outdated)


def _is_outdated(stored: StoredCopy | None, version: ModelVersion, origin: VersionOrigin) -> bool:
    return stored is not None and stored.is_same_copy(version) and stored.origin != origin


def _unlisted_originals(
    session: TenantSession, copies: Sequence[ModelVersion], listed: Mapping[Key, ModelVersion]
) -> dict[Key, ModelVersion]:
    """Return the stored versions that copies lead to and that are not listed. One query per hop, usually none."""
    found: dict[Key, ModelVersion] = {}
    searched: set[Key] = set()
    frontier = copies
    for _ in range(MAX_COPY_HOPS + 1):
        named = {target for version in frontier for target in copy_targets(version.source)}
        missing = named - listed.keys() - searched
        if not missing:
            break
        searched |= missing
        rows = registry.versions_by_key(session, missing)
        found |= rows
        frontier = [version for version in rows.values() if names_version(version.source)]
    return found
