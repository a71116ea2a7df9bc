"""Derives the lifecycle events between two reads of an object. Pure functions.

Two reads show only the state at each time. If an object changed several times in between, only the net change becomes
an event.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent
from verifywise_mlflow.persistence.repositories.registry import ListedObject, ListedVersion, Tombstone


def model_events(
    change: ListedObject[RegisteredModel], previous_model: RegisteredModel | None
) -> Iterator[LifecycleEvent]:
    """Yield the events of a model and of its aliases since its previous read.

    An alias of a model that is new, or that was deleted and created again, is reported as set.
    """
    model = change.entity
    yield from _identity_events(change, model.name, None, model.created_at)
    before = previous_model if previous_model and not change.is_recreated else RegisteredModel(model.name)
    for alias in sorted({*before.aliases, *model.aliases}):
        previous, value = before.aliases.get(alias), model.aliases.get(alias)
        if previous == value or _is_unknown(previous, before) or _is_unknown(value, model):
            continue
        yield LifecycleEvent(
            EventKind.ALIAS,
            model.name,
            value or previous,
            change.incarnation,
            alias=alias,
            previous=_text(previous),
            value=_text(value),
        )


def version_events(
    change: ListedObject[ListedVersion], previous_version: ModelVersion | None, *, is_plain_mlflow: bool
) -> Iterator[LifecycleEvent]:
    """Yield the events of a version since its previous read: stage, status, deployment job.

    A version has no stage and no deployment job when it is created, so a stage or deployment job at the first read is a
    transition from none. A version always has a status, so its first status is not a transition.

    Args:
        change: the version as the current listing shows it.
        previous_version: the version as it was read before.
        is_plain_mlflow: whether the server updates its times as MLflow does. Databricks does not promise that.
    """
    version = change.entity.version
    name, number, incarnation = version.model_name, version.version_number, change.incarnation
    yield from _identity_events(change, name, number, version.created_at)
    previous = previous_version if previous_version and not change.is_recreated else None
    before = previous or ModelVersion(name, number, status=version.status)
    if _has_changed(before.stage, before, version.stage, version):
        happened_at = _transition_time(previous, version) if previous and is_plain_mlflow else None
        yield LifecycleEvent(
            EventKind.STAGE,
            name,
            number,
            incarnation,
            previous=before.stage,
            value=version.stage,
            happened_at=happened_at,
        )
    if _has_changed(before.status, before, version.status, version):
        yield LifecycleEvent(EventKind.STATUS, name, number, incarnation, previous=before.status, value=version.status)
    if _has_changed(before.deployment_job_state, before, version.deployment_job_state, version):
        yield LifecycleEvent(
            EventKind.DEPLOYMENT,
            name,
            number,
            incarnation,
            previous=before.deployment_job_state,
            value=version.deployment_job_state,
        )


def tombstone_event(tombstone: Tombstone) -> LifecycleEvent:
    """Return the event of an object that was deleted. MLflow does not show when it was deleted."""
    return LifecycleEvent(EventKind.DISAPPEARED, tombstone.model_name, tombstone.version_number, tombstone.incarnation)


def _identity_events(
    change: ListedObject[RegisteredModel] | ListedObject[ListedVersion],
    name: str,
    number: int | None,
    created_at: datetime | None,
) -> Iterator[LifecycleEvent]:
    stored, incarnation = change.stored, change.incarnation
    if stored is None:
        yield LifecycleEvent(EventKind.FIRST_SEEN, name, number, incarnation, happened_at=created_at)
    elif change.is_recreated:
        yield LifecycleEvent(
            EventKind.RECREATED,
            name,
            number,
            incarnation,
            previous=_text(stored.created_at),
            value=_text(created_at),
            happened_at=created_at,
        )
    elif stored.is_deleted:
        yield LifecycleEvent(EventKind.REAPPEARED, name, number, incarnation)


def _transition_time(before: ModelVersion, version: ModelVersion) -> datetime | None:
    """Return the version's ``last_updated_at`` if only a stage transition can have set it, else None.

    Only stage transitions and new descriptions set ``last_updated_at`` (measured on MLflow 2.9 to 3.17). A redacted
    description cannot be compared, so it may have changed.
    """
    is_same_description = before.description == version.description and not any(
        redaction.place == "description" for redaction in version.redactions
    )
    is_updated = before.last_updated_at != version.last_updated_at
    return version.last_updated_at if is_same_description and is_updated else None


def _has_changed(
    previous: str | None, before: RegisteredModel | ModelVersion, value: str | None, after: ModelVersion
) -> bool:
    return previous != value and not _is_unknown(previous, before) and not _is_unknown(value, after)


def _is_unknown(value: str | int | None, owner: RegisteredModel | ModelVersion) -> bool:
    # Part of the response could not be parsed: the server may have a value that was not read.
    return value is None and bool(owner.problems)


def _text(value: int | datetime | None) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if value is None else str(value)
