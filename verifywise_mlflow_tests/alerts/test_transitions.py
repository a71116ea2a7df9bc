"""Changes are told, states are not."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.state import Book, Unsent
from verifywise_mlflow.alerts.transitions import Observation, Open, changes, lateness, without_departed
from verifywise_mlflow.tenants.freshness import StageAge

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTHING: Open = frozenset()


def failed(tenant_id: str, wrong: str | None) -> Observation:
    return Observation("sync failed", tenant_id, wrong)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=40))
def test_however_often_one_looks_an_alert_comes_only_when_it_changes(looks: list[tuple[str, bool]]) -> None:
    opened, told = NOTHING, {"a": ["resolved"], "b": ["resolved"]}
    for tenant_id, is_failed in looks:
        alerts, opened = changes(opened, [failed(tenant_id, "no" if is_failed else None)], NOW)
        told[tenant_id] += [alert.state for alert in alerts]

        assert (("sync failed", tenant_id) in opened) == is_failed
        assert told[tenant_id][-1] == ("raised" if is_failed else "resolved")

    for states in told.values():
        assert all(one != following for one, following in pairwise(states))


def test_what_was_not_looked_at_stays_open() -> None:
    _, opened = changes(NOTHING, [failed("a", "no"), failed("b", "no")], NOW)

    alerts, opened = changes(opened, [failed("b", None)], NOW)

    assert [(alert.tenant_id, alert.state) for alert in alerts] == [("b", "resolved")]
    assert opened == {("sync failed", "a")}
    assert without_departed(opened, {"b"}) == NOTHING


def test_of_a_late_tenant_is_told_which_stage_and_how_its_last_sync_ended() -> None:
    on_time, late = StageAge("a", NOW, is_late=False), StageAge("b", None, is_late=True)

    assert lateness("acme", [on_time], "") == Observation("tenant late", "acme", None)
    assert lateness("acme", [on_time, late], "No sync has ended yet") == Observation(
        "tenant late", "acme", "not gone through in time: b, not ever. No sync has ended yet"
    )


def test_the_book_comes_back_as_it_was_left_and_one_of_another_release_starts_over() -> None:
    alert = Alert(kind="tenant late", tenant_id="a", state="raised", sentence="\ud800 \x1b[31m", at=NOW)
    book = Book(
        opened=[("audit trails not verified", None), ("sync failed", "a")],
        events_seen={"a": 7},
        runs_seen_until=NOW,
        unsent=[Unsent(target="1 LogTarget", alerts=[alert.model_copy(update={"sentence": "\x1b[31m"})])],
    )

    assert Book.read(book.model_dump_json()) == book
    assert Book.read('{"opened": 3}') == Book.read(None) == Book()
