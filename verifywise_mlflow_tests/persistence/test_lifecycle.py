from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.command_catalog import DONE, UNRESOLVED
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent
from verifywise_mlflow.persistence.repositories import lifecycle_events, tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.documentation import code_blocks, read_page

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)

HOSTILE = "O'Brien \x00 \"; DROP TABLE"
FIRST_SEEN = LifecycleEvent(EventKind.FIRST_SEEN, HOSTILE, 2, 1, happened_at=MONDAY)
ALIAS_MOVED = LifecycleEvent(EventKind.ALIAS, HOSTILE, 3, 1, alias="l'été\x00", previous="2", value="3")
ALIAS_SET = LifecycleEvent(EventKind.ALIAS, HOSTILE, 12, 1, alias="new", value="12")
STAGE_SET = LifecycleEvent(EventKind.STAGE, "fraud", 2, 1, value="Production")


@pytest.fixture
def filled(store: Store) -> Store:
    for tenant_id, sync_id, events, seen_at in (
        ("acme", "s1", [FIRST_SEEN, STAGE_SET], MONDAY),
        ("acme", "s2", [ALIAS_MOVED, ALIAS_SET], TUESDAY),
        ("globex", "s3", [FIRST_SEEN], TUESDAY),
    ):
        with store.begin(tenant_id) as session:
            tenancy.activate(session, "https://mlflow.example", None, seen_at)
            lifecycle_events.append(session, sync_id, events, seen_at)
    return store


def stored_events(
    store: Store, *model_and_version: str | int, kind: EventKind | None = None, **span: datetime | int
) -> list[LifecycleEvent]:
    with store.begin("acme") as session:
        stored = lifecycle_events.lifecycle_events_of(session, *model_and_version, kind=kind, **span)  # type: ignore[arg-type]
        return [item.event for item in stored]


def test_events_are_read_back_in_their_order(filled: Store) -> None:
    assert stored_events(filled) == [FIRST_SEEN, STAGE_SET, ALIAS_MOVED, ALIAS_SET]
    with filled.begin("acme") as session:
        last = lifecycle_events.lifecycle_events_of(session)[-1]
    assert (last.seen_at, last.sync_id) == (TUESDAY, "s2")


def test_a_versions_events_include_its_aliases(filled: Store) -> None:
    assert stored_events(filled, HOSTILE, 2) == [FIRST_SEEN, ALIAS_MOVED]
    assert stored_events(filled, HOSTILE, 3) == [ALIAS_MOVED]
    assert stored_events(filled, HOSTILE, 1) == []


def test_events_can_be_filtered_by_model_kind_and_time(filled: Store) -> None:
    assert stored_events(filled, "fraud") == [STAGE_SET]
    assert stored_events(filled, kind=EventKind.ALIAS) == [ALIAS_MOVED, ALIAS_SET]
    assert stored_events(filled, since=TUESDAY) == [ALIAS_MOVED, ALIAS_SET]
    assert stored_events(filled, until=TUESDAY) == [FIRST_SEEN, STAGE_SET]
    assert stored_events(filled, limit=2) == [ALIAS_MOVED, ALIAS_SET]


PAGE = read_page("reference/lifecycle-events.md")
QUERIES = re.findall(r"SELECT .*?;", "".join(code_blocks(PAGE, "sql")), re.DOTALL)
COMMANDS = re.findall(r"^verifywise-mlflow (events .*?)(?: *#.*)?$", PAGE, re.MULTILINE)


def test_the_pages_queries_return_the_expected_rows(store: Store) -> None:
    moves = [
        LifecycleEvent(EventKind.ALIAS, "churn", 3, 1, alias="champion", value="3"),
        LifecycleEvent(EventKind.ALIAS, "churn", 4, 1, alias="champion", previous="3", value="4"),
    ]
    with store.begin("acme") as session:
        lifecycle_events.append(session, "s1", moves[:1], MONDAY)
        lifecycle_events.append(session, "s2", moves[1:], TUESDAY)
        row_sets = [session.execute(text(query)).all() for query in QUERIES]

    assert [len(rows) for rows in row_sets] == [2, 1, 0, 0]
    assert (row_sets[1][0].model_name, row_sets[1][0].version_number) == ("churn", "3")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_pages_commands_print_events_with_hostile_names(
    command: str, filled: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)

    result = CliRunner().invoke(app, shlex.split(command), env={"COLUMNS": "200"})

    is_known = "churn" not in command
    assert result.exit_code == (DONE if is_known else UNRESOLVED), result.output
    assert ("there is no record of a model 'churn'" in result.output) != is_known
    assert "\x00" not in result.output


def test_events_are_append_only(filled: Store) -> None:
    with pytest.raises(DBAPIError, match="append"), filled.begin("acme") as session:
        session.execute(text("UPDATE verifywise_mlflow.lifecycle_events SET kind = 'stage'"))


def test_the_sentence_of_an_event_has_every_known_value() -> None:
    assert FIRST_SEEN.sentence == "first seen, by MLflow's clock at 2026-03-02T09:00:00+00:00"
    assert ALIAS_MOVED.sentence == "alias \"l'été\\x00\": '2' → '3'"
    assert STAGE_SET.sentence == "stage: none → 'Production'"
