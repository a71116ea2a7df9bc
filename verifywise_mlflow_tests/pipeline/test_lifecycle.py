"""Which events follow from two reads, and which events would claim more than MLflow shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from verifywise_mlflow.connector.models import ModelVersion, Redaction, RegisteredModel
from verifywise_mlflow.normalizer.lifecycle_event import LifecycleEvent
from verifywise_mlflow.persistence.repositories.registry import ListedObject, ListedVersion, StoredObject
from verifywise_mlflow.pipeline.lifecycle_events import model_events, version_events

CREATED = datetime(2026, 3, 2, 9, tzinfo=UTC)
LATER = CREATED + timedelta(hours=1)
STORED = StoredObject("", is_deleted=False, created_at=CREATED, incarnation=1)
BEFORE = ModelVersion("churn", 1, created_at=CREATED, last_updated_at=CREATED, stage="Staging", status="READY")
PROMOTED = replace(BEFORE, stage="Production", last_updated_at=LATER)


def events_between(before: ModelVersion, after: ModelVersion, *, is_plain_mlflow: bool = True) -> list[LifecycleEvent]:
    listed = ListedObject(ListedVersion(after, ()), "", stored=STORED)
    return list(version_events(listed, before, is_plain_mlflow=is_plain_mlflow))


def kinds_and_values(events: list[LifecycleEvent]) -> list[tuple[str, str | None, str | None]]:
    return [(event.kind.value, event.previous, event.value) for event in events]


def test_a_transition_has_mlflows_time_if_only_it_can_have_set_that() -> None:
    (event,) = events_between(BEFORE, PROMOTED)

    assert (event.previous, event.value, event.happened_at) == ("Staging", "Production", LATER)


@pytest.mark.parametrize(
    ("after", "is_plain_mlflow"),
    [
        (replace(PROMOTED, description="and described"), True),
        (replace(PROMOTED, last_updated_at=CREATED), True),
        (replace(PROMOTED, redactions=(Redaction("description", None, "secret", "password"),)), True),
        (PROMOTED, False),
    ],
    ids=["the description changed, too", "no time moved", "the description is not known", "Databricks"],
)
def test_a_transition_has_no_time_if_something_else_may_have_set_it(after: ModelVersion, is_plain_mlflow: bool) -> None:
    (event,) = events_between(BEFORE, after, is_plain_mlflow=is_plain_mlflow)

    assert (event.value, event.happened_at) == ("Production", None)


def test_changes_of_status_and_deployment_job_are_events() -> None:
    failed = replace(BEFORE, status="FAILED_REGISTRATION", deployment_job_state="RUNNING")

    assert kinds_and_values(events_between(BEFORE, failed)) == [
        ("status", "READY", "FAILED_REGISTRATION"),
        ("deployment", None, "RUNNING"),
    ]


def test_values_that_could_not_be_read_are_not_taken_for_changes() -> None:
    unread_version = replace(BEFORE, stage=None, problems=("current_stage could not be used: []",))
    champion = RegisteredModel("churn", aliases={"champion": 1})
    no_aliases = RegisteredModel("churn", problems=("aliases could not be used: 7",))

    assert events_between(BEFORE, unread_version) == events_between(unread_version, BEFORE) == []
    assert list(model_events(ListedObject(no_aliases, "", stored=STORED), champion)) == []
    assert list(model_events(ListedObject(champion, "", stored=STORED), no_aliases)) == []


def test_a_tag_a_description_and_a_later_time_are_no_events() -> None:
    assert (
        events_between(BEFORE, replace(BEFORE, tags={"owner": "ada"}, description="new", last_updated_at=LATER)) == []
    )
