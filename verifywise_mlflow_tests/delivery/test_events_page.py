"""The pages on events: the schemas are published as they are, and the examples run."""

from __future__ import annotations

from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.delivery.http_post import RESPONSE_TIMEOUT_S
from verifywise_mlflow.services.version_events.event import TYPE_PREFIX
from verifywise_mlflow.tenants.delivery.event_type import EventType
from verifywise_mlflow_tests.delivery.event_checks import read_schemas
from verifywise_mlflow_tests.delivery.events_page import PAGE, event_lines, facet_lines
from verifywise_mlflow_tests.support.documentation import generated_part, read_page
from verifywise_mlflow_tests.support.published_schemas import EVENT_SCHEMAS, FACET_SCHEMAS, read_schema


def test_the_page_describes_the_schemas() -> None:
    page = read_page(PAGE)

    assert generated_part(page, "events").splitlines() == list(event_lines())
    assert generated_part(page, "facets").splitlines() == list(facet_lines())


def test_every_type_of_event_has_a_schema() -> None:
    ids = {identifier.rpartition("/")[2] for identifier in read_schemas(EVENT_SCHEMAS)}

    assert ids == {event_type.schema_name for event_type in EventType}
    assert all(f"### {TYPE_PREFIX}{event_type.schema_name}" in read_page(PAGE) for event_type in EventType)


def test_the_schemas_allow_each_badge() -> None:
    changed = read_schema(EVENT_SCHEMAS / f"{EventType.BADGE_CHANGED.schema_name}.json")["properties"]
    governance = read_schema(FACET_SCHEMAS / "verifywise_governance.v1.json")["properties"]

    assert changed["badge"]["enum"] == governance["badge"]["enum"] == list(Badge)
    assert changed["previous"]["enum"] == [*Badge, None]


def test_the_guide_states_the_timeout() -> None:
    assert f"no response within {RESPONSE_TIMEOUT_S:g} s" in read_page("how-to/receive-events.md")
