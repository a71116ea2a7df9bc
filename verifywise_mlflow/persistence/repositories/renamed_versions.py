"""Names that a version had before its model was renamed, and what was recorded about its files under these names.

MLflow stores no former names. So two model names count as names of one version if the version numbers and the creation
times are equal. Without this rule, a rename would hide that bytes changed in place. A former name is not found if
another version has taken it since.
"""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter

from sqlalchemy import select

from verifywise_mlflow.artifacts.integrity import DetectedChange
from verifywise_mlflow.persistence.repositories import integrity, manifests
from verifywise_mlflow.persistence.repositories.manifests import StoredManifest
from verifywise_mlflow.persistence.row_mapping import Key, is_one_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import integrity_events, model_versions


def other_names(session: TenantSession, keys: Collection[Key]) -> dict[Key, tuple[str, ...]]:
    """Return the other model names under which versions were seen with the same number and creation time, sorted."""
    if not keys:
        return {}
    named, other = model_versions, model_versions.alias()
    rows = session.execute(
        select(named.c.model_name, named.c.version_number, other.c.model_name)
        .where(
            named.c.tenant_id == session.tenant_id,
            is_one_of(named, keys),
            other.c.tenant_id == session.tenant_id,
            other.c.version_number == named.c.version_number,
            other.c.created_at == named.c.created_at,
            other.c.model_name != named.c.model_name,
        )
        .order_by(other.c.model_name)
    )
    names: dict[Key, tuple[str, ...]] = {}
    for name, number, other_name in rows:
        names[name, number] = (*names.get((name, number), ()), other_name)
    return names


def newest_manifests(session: TenantSession, keys: Collection[Key]) -> dict[Key, StoredManifest]:
    """Return the versions' manifests, each as it was last read under any of the version's names."""
    stored = manifests.stored_manifests(session, keys)
    names = other_names(session, keys)
    under_other_names = manifests.stored_manifests(
        session, [(name, number) for (_, number), others in names.items() for name in others]
    )
    for key, others in names.items():
        readings = [under_other_names.get((name, key[1])) for name in others]
        known = [reading for reading in (*readings, stored.get(key)) if reading is not None]
        if known:
            stored[key] = max(known, key=attrgetter("read_at"))  # at equal times, the manifest under another name
    return stored


def changes_in_place(session: TenantSession, keys: Collection[Key]) -> dict[Key, list[DetectedChange]]:
    """Return the changed files of the given versions under all their names, the oldest change first."""
    changes = integrity.changes_by_key(session, keys)
    names = _names_with_events(session, keys)
    under_other_names = integrity.changes_by_key(
        session, [(name, number) for (_, number), others in names.items() for name in others]
    )
    for key, others in names.items():
        added = [change for name in others for change in under_other_names.get((name, key[1]), ())]
        changes[key] = sorted([*changes.get(key, ()), *added], key=attrgetter("seen_at"))
    return changes


def _names_with_events(session: TenantSession, keys: Collection[Key]) -> dict[Key, list[str]]:
    """Return the other names of versions under which files changed in place. Most tenants have few such files."""
    if not keys:
        return {}
    events, named, former = integrity_events, model_versions, model_versions.alias()
    changed = (
        select(events.c.model_name, events.c.version_number, events.c.incarnation)
        .where(events.c.tenant_id == session.tenant_id)
        .distinct()
        .cte("changed")
    )
    rows = session.execute(
        select(named.c.model_name, named.c.version_number, former.c.model_name)
        .select_from(changed)
        .where(
            former.c.tenant_id == session.tenant_id,
            former.c.model_name == changed.c.model_name,
            former.c.version_number == changed.c.version_number,
            former.c.incarnation == changed.c.incarnation,
            named.c.tenant_id == session.tenant_id,
            is_one_of(named, keys),
            named.c.version_number == former.c.version_number,
            named.c.created_at == former.c.created_at,
            named.c.model_name != former.c.model_name,
        )
        .order_by(former.c.model_name)
    )
    names: dict[Key, list[str]] = {}
    for name, number, former_name in rows:
        names.setdefault((name, number), []).append(former_name)
    return names
