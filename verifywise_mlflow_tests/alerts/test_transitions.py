"""Alerts report transitions, not states."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.state import AlertState, UndeliveredAlerts
from verifywise_mlflow.alerts.transitions import (
    Observation,
    OpenAlerts,
    detect_transitions,
    drop_removed_tenants,
    observe_staleness,
)
from verifywise_mlflow.tenants.freshness import StageFreshness

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NO_ALERTS: OpenAlerts = frozenset()


def observe_sync(tenant_id: str, wrong: str | None) -> Observation:
    return Observation("sync failed", tenant_id, wrong)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=40))
def test_an_alert_is_sent_only_on_a_transition(observations: list[tuple[str, bool]]) -> None:
    open_alerts, sent_events = NO_ALERTS, {"a": ["resolved"], "b": ["resolved"]}
    for tenant_id, is_failed in observations:
        alerts, open_alerts = detect_transitions(
            open_alerts, [observe_sync(tenant_id, "no" if is_failed else None)], NOW
        )
        sent_events[tenant_id] += [alert.state for alert in alerts]

        assert (("sync failed", tenant_id) in open_alerts) == is_failed
        assert sent_events[tenant_id][-1] == ("raised" if is_failed else "resolved")

    for states in sent_events.values():
        assert all(state != following for state, following in pairwise(states))


def test_an_unobserved_alert_stays_open() -> None:
    _, open_alerts = detect_transitions(NO_ALERTS, [observe_sync("a", "no"), observe_sync("b", "no")], NOW)

    alerts, open_alerts = detect_transitions(open_alerts, [observe_sync("b", None)], NOW)

    assert [(alert.tenant_id, alert.state) for alert in alerts] == [("b", "resolved")]
    assert open_alerts == {("sync failed", "a")}
    assert drop_removed_tenants(open_alerts, {"b"}) == NO_ALERTS


def test_an_overdue_tenant_is_reported_with_stage_and_last_sync_outcome() -> None:
    on_time, late = StageFreshness("a", NOW, is_stale=False), StageFreshness("b", None, is_stale=True)

    assert observe_staleness("acme", [on_time], "") == Observation("tenant stale", "acme", None)
    assert observe_staleness("acme", [on_time, late], "No sync has ended yet") == Observation(
        "tenant stale", "acme", "stale stages: b (never completed). No sync has ended yet"
    )


def test_the_state_round_trips_and_an_incompatible_one_is_reset() -> None:
    alert = Alert(kind="tenant stale", tenant_id="a", state="raised", sentence="\ud800 \x1b[31m", at=NOW)
    alert_state = AlertState(
        open_alerts=[("audit trails not verified", None), ("sync failed", "a")],
        last_integrity_events={"a": 7},
        runs_watermark=NOW,
        undelivered=[
            UndeliveredAlerts(target="1 LogTarget", alerts=[alert.model_copy(update={"sentence": "\x1b[31m"})])
        ],
    )

    assert AlertState.parse(alert_state.model_dump_json()) == alert_state
    assert AlertState.parse('{"opened": 3}') == AlertState.parse(None) == AlertState()
