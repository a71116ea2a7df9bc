"""Traces the copied versions of a listing to their originals, which may be in the listing or among the tombstones.

A listing is traced page by page. A copy whose original is unknown is traced again at the end of the listing: the
original may be on a later page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from verifywise_mlflow.artifacts.version_origin import (
    MAX_COPY_HOPS,
    VersionOrigin,
    copy_targets,
    names_version,
    trace_origin,
)
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.connector.read_ahead import read_each
from verifywise_mlflow.connector.registry_search import version_key
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.repositories import registry
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession

MAX_LOCATION_READS: Final = 200
"""The maximum number of copies whose location a sync requests. The next reconcile continues."""


@dataclass(frozen=True, slots=True)
class TracedCopies:
    """The origins of the listed versions that are copies."""

    origins: Mapping[Key, VersionOrigin]
    outdated: Set[Key]
    """Copies whose stored origin differs, such as copies whose original was not listed before."""
    unlocated: Sequence[ModelVersion] = ()
    """Copies whose original is unknown, and whose location was not requested yet or not returned by MLflow."""

    def split(self, page: Sequence[ModelVersion]) -> tuple[list[ModelVersion], list[ModelVersion]]:
        """Return the versions of a page whose origin is known, and the copies of an unknown original."""
        known: list[ModelVersion] = []
        unknown: list[ModelVersion] = []
        for version in page:
            origin = self.origins.get(version_key(version))
            (unknown if origin and origin.problem else known).append(version)
        return known, unknown


def trace_copies(session: TenantSession, listed: Sequence[ModelVersion], *, is_reconcile: bool) -> TracedCopies:
    """Return the origins of the copies in a listing, without a request to MLflow.

    Args:
        session: the tenant's session.
        listed: the versions of a page of the listing.
        is_reconcile: whether to request the location of a copy again if MLflow did not state this location before.
    """
    copies = [version for version in listed if names_version(version.source)]
    if not copies:
        return TracedCopies({}, frozenset())
    stored = registry.stored_copies(session)
    versions = {version_key(version): version for version in listed}
    versions = _unlisted_originals(session, copies, versions) | versions

    def find_origin(version: ModelVersion) -> VersionOrigin | None:
        copy = stored.get(version_key(version))
        return copy.origin if copy and copy.origin.problem is None and copy.is_same_copy(version) else None

    origins: dict[Key, VersionOrigin] = {}
    outdated: set[Key] = set()
    unlocated: list[ModelVersion] = []
    for version in copies:
        key = version_key(version)
        origin = trace_origin(version, lambda name, number: versions.get((name, number)), find_origin)
        before = stored.get(key)
        if before and before.is_same_copy(version):
            if before.origin.problem and before.origin.problem == origin.problem:
                origin = before.origin  # with its location
            elif before.origin != origin:
                outdated.add(key)
        origins[key] = origin
        is_asked = before is not None and before.is_same_copy(version) and key not in outdated
        if origin.problem and origin.location is None and (is_reconcile or not is_asked):
            unlocated.append(version)
    return TracedCopies(origins, outdated, unlocated)


def locate_copies(traced: TracedCopies, read_location: Callable[[str, int], str | None], ahead: int) -> TracedCopies:
    """Return the copies. A copy whose original is unknown gets the location that MLflow states for the copy.

    MLflow resolves the source of a copy when it registers the copy. So MLflow knows the files of a copy even if the
    original was deleted or renamed before any sync, or is hidden from the account.

    Args:
        traced: the copies of a listing.
        read_location: requests the location of one version.
        ahead: the maximum number of locations that are requested at the same time.
    """
    located: dict[Key, VersionOrigin] = {}
    keys = map(version_key, traced.unlocated[:MAX_LOCATION_READS])
    for key, location in read_each(keys, lambda key: read_location(*key), ahead):
        if isinstance(location, HttpError):
            if location.retryable:
                break  # the next reconcile continues
        # Only a location of files counts: a server might return the source unchanged.
        elif location and not names_version(location):
            located[key] = replace(traced.origins[key], location=location)
    return TracedCopies({**traced.origins, **located}, traced.outdated | located.keys())


def _unlisted_originals(
    session: TenantSession, copies: Sequence[ModelVersion], listed: Mapping[Key, ModelVersion]
) -> dict[Key, ModelVersion]:
    """Return the stored versions that copies lead to and that are not listed.

    Each hop from a copy to its original takes one query; usually there is no hop.
    """
    found: dict[Key, ModelVersion] = {}
    searched: set[Key] = set()
    frontier = copies
    for _ in range(MAX_COPY_HOPS + 1):
        named = {target for version in frontier for target in copy_targets(version.source)}
        missing = named - listed.keys() - searched
        if not missing:
            break
        searched |= missing
        rows = registry.version_sources(session, missing)
        found |= rows
        frontier = [version for version in rows.values() if names_version(version.source)]
    return found
