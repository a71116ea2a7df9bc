"""Which lifecycle events lie between two readings of an object. Pure.

Two readings show no more than where things stood at each: of several moves between them only the outcome is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.persistence.repositories.lifecycle import EventKind, LifecycleEvent
from verifywise_mlflow.persistence.repositories.registry import Entombed, ListedVersion, Seen


def events_of_model(seen: Seen[RegisteredModel], former: RegisteredModel | None) -> Iterator[LifecycleEvent]:
    """Tell what became of a model since its former reading, and of its aliases.

    An alias that stands at first sight, or on a model that was created anew, is told as set: nothing was seen before.
    """
    model = seen.found
    yield from _of_identity(seen, model.name, None, model.created_at)
    before = former if former and not seen.is_another else RegisteredModel(model.name)
    for alias in sorted({*before.aliases, *model.aliases}):
        previous, value = before.aliases.get(alias), model.aliases.get(alias)
        if previous == value or _is_unread(previous, before) or _is_unread(value, model):
            continue
        yield LifecycleEvent(
            EventKind.ALIAS,
            model.name,
            value or previous,
            seen.incarnation,
            alias=alias,
            previous=_text(previous),
            value=_text(value),
        )


def events_of_version(
    seen: Seen[ListedVersion], former: ModelVersion | None, *, is_plain_mlflow: bool
) -> Iterator[LifecycleEvent]:
    """Tell what became of a version since its former reading: stage, status, deployment job.

    A version starts without stage and deployment job, so what stands at first sight is told as a transition from
    none. Its status was never none, so the first one is no transition.

    Args:
        seen: the version as a listing has just shown it.
        former: as it was read before.
        is_plain_mlflow: whether the server's times move as MLflow's do, which Databricks does not promise.
    """
    version = seen.found.version
    name, number, incarnation = version.model_name, version.version_number, seen.incarnation
    yield from _of_identity(seen, name, number, version.created_at)
    known = former if former and not seen.is_another else None
    before = known or ModelVersion(name, number, status=version.status)
    if _moved(before.stage, before, version.stage, version):
        happened_at = _of_transition(known, version) if known and is_plain_mlflow else None
        yield LifecycleEvent(
            EventKind.STAGE,
            name,
            number,
            incarnation,
            previous=before.stage,
            value=version.stage,
            happened_at=happened_at,
        )
    if _moved(before.status, before, version.status, version):
        yield LifecycleEvent(EventKind.STATUS, name, number, incarnation, previous=before.status, value=version.status)
    if _moved(before.deployment_job_state, before, version.deployment_job_state, version):
        yield LifecycleEvent(
            EventKind.DEPLOYMENT,
            name,
            number,
            incarnation,
            previous=before.deployment_job_state,
            value=version.deployment_job_state,
        )


def event_of_tombstone(entombed: Entombed) -> LifecycleEvent:
    """Tell that an object is gone. MLflow does not say since when."""
    return LifecycleEvent(EventKind.DISAPPEARED, entombed.model_name, entombed.version_number, entombed.incarnation)


def _of_identity(
    seen: Seen[RegisteredModel] | Seen[ListedVersion], name: str, number: int | None, created_at: datetime | None
) -> Iterator[LifecycleEvent]:
    known, incarnation = seen.known, seen.incarnation
    if known is None:
        yield LifecycleEvent(EventKind.FIRST_SEEN, name, number, incarnation, happened_at=created_at)
    elif seen.is_another:
        yield LifecycleEvent(
            EventKind.RECREATED,
            name,
            number,
            incarnation,
            previous=_text(known.created_at),
            value=_text(created_at),
            happened_at=created_at,
        )
    elif known.is_gone:
        yield LifecycleEvent(EventKind.REAPPEARED, name, number, incarnation)


def _of_transition(before: ModelVersion, version: ModelVersion) -> datetime | None:
    """Return MLflow's time of a stage transition, where it can be told from its time of the version's last update.

    That one is moved by a transition and by saving a description, and by nothing else (measured on MLflow 2.9 to 3.17).
    Of a description that something was taken out of, nobody knows whether it is the same.
    """
    is_same_description = before.description == version.description and not any(
        redaction.place == "description" for redaction in version.redactions
    )
    has_time_moved = before.last_updated_at != version.last_updated_at
    return version.last_updated_at if is_same_description and has_time_moved else None


def _moved(
    previous: str | None, before: RegisteredModel | ModelVersion, value: str | None, after: ModelVersion
) -> bool:
    return previous != value and not _is_unread(previous, before) and not _is_unread(value, after)


def _is_unread(value: str | int | None, of: RegisteredModel | ModelVersion) -> bool:
    # Part of the answer made no sense: what is missing in it may be there.
    return value is None and bool(of.problems)


def _text(value: int | datetime | None) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if value is None else str(value)
