"""Each change of a version becomes an event that the published schemas and the reference library accept."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.artifacts.integrity import ByteChange
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent
from verifywise_mlflow.persistence.queries.compliance_states import ComplianceState, StoredVerdict
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.services.version_events.compliance import compliance_events
from verifywise_mlflow.services.version_events.event import VersionEvent, cloud_event
from verifywise_mlflow.services.version_events.lifecycle import MAX_FILES, from_integrity_events, from_lifecycle_events
from verifywise_mlflow.tenants.delivery.event_type import EventType
from verifywise_mlflow_tests.delivery.event_checks import check_event

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAME = "churn ✓/é"
KEY = (NAME, 3)
RULES = {rule.id: rule for rule in default_policy().rules}
FIRST, SECOND, THIRD, *OTHERS = sorted(RULES)


def bodies(events: Iterable[VersionEvent], sync_id: str = "s1") -> list[str]:
    url = "https://mlflow.example/#/models/churn/versions/3"
    return [cloud_event(event, tenant_id="acme", sync_id=sync_id, seen_at=NOON, page_url=url) for event in events]


def lifecycle(kind: EventKind, **values: object) -> LifecycleEvent:
    return LifecycleEvent(kind, NAME, 3, 1, **values)  # type: ignore[arg-type]  # as each test gives them


def state(badge: str | None, **verdicts: str) -> ComplianceState:
    opened = ("fail", "not evidenced", "error")
    return ComplianceState(
        badge,
        {
            rule_id.replace("_", "-"): StoredVerdict(verdict, f"because {rule_id}", verdict in opened)
            for rule_id, verdict in verdicts.items()
        },
    )


LIFECYCLE = [
    (lifecycle(EventKind.FIRST_SEEN, happened_at=NOON), EventType.FIRST_SEEN, {"incarnation": 1}),
    (
        lifecycle(EventKind.STAGE, previous=None, value="Production"),
        EventType.STAGE_CHANGED,
        {"previous": None, "stage": "Production", "happened_at": None},
    ),
    (
        lifecycle(EventKind.ALIAS, alias="champion", previous="2", value="3"),
        EventType.ALIAS_CHANGED,
        {"alias": "champion", "previous_version": 2, "current_version": 3},
    ),
    (
        lifecycle(EventKind.ALIAS, alias="champion", previous="3", value=None),
        EventType.ALIAS_CHANGED,
        {"previous_version": 3, "current_version": None},
    ),
    (lifecycle(EventKind.DISAPPEARED), EventType.DISAPPEARED, {"incarnation": 1}),
    (lifecycle(EventKind.REAPPEARED), EventType.REAPPEARED, {"incarnation": 1}),
    (
        lifecycle(EventKind.RECREATED, previous="2026-01-01", value="2026-02-01"),
        EventType.RECREATED,
        {"created_at": None},
    ),
]


@pytest.mark.parametrize(("event", "event_type", "expected"), LIFECYCLE)
def test_each_change_in_the_life_of_a_version_is_an_event(
    event: LifecycleEvent, event_type: EventType, expected: dict[str, object]
) -> None:
    (body,) = bodies(from_lifecycle_events([event]))

    content = check_event(body)
    assert content["type"] == f"ai.verifywise.mlflow.{event_type.value}.v1"
    assert content["subject"] == "models/churn%20%E2%9C%93%2F%C3%A9/versions/3"
    data = content["data"]
    assert (data["tenant"], data["model"], data["version"], data["sync_id"]) == ("acme", NAME, 3, "s1")
    assert expected.items() <= data.items()


def test_changes_of_a_model_alone_of_the_status_and_of_jobs_are_no_events() -> None:
    others = [
        LifecycleEvent(EventKind.FIRST_SEEN, NAME, None, 1),
        LifecycleEvent(EventKind.DISAPPEARED, NAME, None, 1),
        lifecycle(EventKind.STATUS, previous="READY", value="FAILED_REGISTRATION"),
        lifecycle(EventKind.DEPLOYMENT, value="SUCCEEDED"),
    ]

    assert list(from_lifecycle_events(others)) == []


def test_the_first_evaluation_reports_the_badge_and_all_gaps() -> None:
    after = state("failing", **{FIRST: "fail", SECOND: "not evidenced", THIRD: "pass"})

    badge, opened = map(check_event, bodies(compliance_events(KEY, None, after, RULES)))

    assert badge["data"]["previous"] is None
    assert badge["data"]["badge"] == "failing"
    assert [(gap["rule_id"], gap["verdict"]) for gap in opened["data"]["gaps"]] == [
        (FIRST, "fail"),
        (SECOND, "not evidenced"),
    ]
    assert opened["data"]["gaps"][0]["title"] == RULES[FIRST].title
    assert opened["data"]["gaps"][0]["severity"] == RULES[FIRST].severity
    assert opened["data"]["gaps"][0]["reason"] == f"because {FIRST}"
    assert opened["data"]["summary"] == f"2 gaps opened: {FIRST}, {SECOND}"


def test_a_gap_that_closes_and_one_that_opens_are_two_events_and_an_equal_badge_is_none() -> None:
    before = state("gaps", **{FIRST: "not evidenced", SECOND: "pass", THIRD: "not evidenced"})
    after = state("gaps", **{FIRST: "pass", SECOND: "not evidenced", THIRD: "fail"})

    opened, closed = map(check_event, bodies(compliance_events(KEY, before, after, RULES)))

    assert [gap["rule_id"] for gap in opened["data"]["gaps"]] == [SECOND]
    assert [(gap["rule_id"], gap["verdict"]) for gap in closed["data"]["gaps"]] == [(FIRST, "pass")]
    assert closed["data"]["summary"] == f"1 gap closed: {FIRST}"


def test_a_gap_that_cannot_be_read_stays_open() -> None:
    before = ComplianceState("gaps", {FIRST: StoredVerdict("not evidenced", "", is_open=True)})
    after = ComplianceState("incomplete", {FIRST: StoredVerdict("not read", "", is_open=True)})

    assert [event.type for event in compliance_events(KEY, before, after, RULES)] == [EventType.BADGE_CHANGED]


def test_a_rule_that_no_policy_has_any_more_closes_its_gap() -> None:
    before, after = state("gaps", gone="fail"), state("evidence complete")

    _, closed = map(check_event, bodies(compliance_events(KEY, before, after, RULES)))

    assert closed["data"]["gaps"] == [
        {"rule_id": "gone", "title": None, "severity": None, "verdict": None, "reason": None}
    ]


def test_an_unchanged_state_is_no_event() -> None:
    same = state("gaps", **{FIRST: "not evidenced", SECOND: "pass"})

    assert list(compliance_events(KEY, same, same, RULES)) == []


def test_the_changed_files_of_a_version_are_one_event_of_bounded_size() -> None:
    change = ByteChange("changed", "model", "model.pkl", "a" * 64, "b" * 64, 10, 11)
    files = [replace(change, path=f"{n:04d}.bin") for n in range(MAX_FILES + 50)]
    event = IntegrityEvent(KEY, 1, "mlflow-artifacts:/1", change, NOON)
    other = replace(event, key=("fraud", 1), change=replace(change, kind="removed", sha256=None, size=None))

    first, second = map(check_event, bodies(from_integrity_events([*(replace(event, change=c) for c in files), other])))

    assert first["data"]["file_count"] == MAX_FILES + 50
    assert len(first["data"]["files"]) == MAX_FILES
    assert first["data"]["unchanged_until"] == NOON.isoformat()
    assert first["data"]["summary"].endswith("and 149 more changes")
    assert second["subject"] == "models/fraud/versions/1"
    assert second["data"]["files"][0]["sha256"] is None


def test_the_same_change_has_the_same_bytes_and_another_one_has_another_id() -> None:
    events = [event for event, _, _ in LIFECYCLE]

    again = bodies(from_lifecycle_events(events))
    later = bodies(from_lifecycle_events(events), sync_id="s2")

    assert bodies(from_lifecycle_events(events)) == again
    ids = [json.loads(body)["id"] for body in [*again, *later]]
    assert len(set(ids)) == len(ids)
