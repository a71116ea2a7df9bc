"""Missing, disabled and superfluous webhooks in MLflow's list."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.webhooks import MODEL_EVENTS, RegisteredWebhook
from verifywise_mlflow.services.webhooks.comparison import WantedWebhook, compare

LISTENER, PATH = "https://listener.test", "kJ3-path-of-acme"
WANTED = WantedWebhook(PATH, MODEL_EVENTS, LISTENER)


def webhook(
    name: str = "ours",
    *,
    url: str = f"{LISTENER}/mlflow/{PATH}",
    events: tuple[str, ...] = MODEL_EVENTS,
    is_active: bool = True,
) -> RegisteredWebhook:
    return RegisteredWebhook(f"id of {name}", name, url, frozenset(events), is_active, None)


def test_one_active_webhook_with_all_events_is_what_is_wanted() -> None:
    elsewhere = webhook("tickets", url="https://hooks.test/s3cret")

    comparison = compare([webhook(), elsewhere], WANTED)

    assert comparison.findings == ()
    assert comparison.delivered_events == MODEL_EVENTS
    assert comparison.elsewhere == 1


@pytest.mark.parametrize(
    ("registered", "found"),
    [
        ([], [("missing", "register one")]),
        ([webhook(events=MODEL_EVENTS[1:])], [("missing", "registered_model.created")]),
        ([webhook(is_active=False)], [("missing", "no active webhook"), ("disabled", "'ours'")]),
        ([webhook(), webhook("twin")], [("superfluous", "several webhooks deliver")]),
        ([webhook(events=(*MODEL_EVENTS, "budget_policy.exceeded"))], [("superfluous", "'budget_policy.exceeded'")]),
        ([webhook(), webhook("former", url=f"{LISTENER}/mlflow/old")], [("superfluous", "'former'")]),
        # Two webhooks that share the events are as good as one.
        ([webhook(events=MODEL_EVENTS[:2]), webhook("rest", events=MODEL_EVENTS[2:])], []),
        ([webhook(url=f"http://listener.test/mlflow/{PATH}")], [("missing", "register one")]),
    ],
)
def test_each_difference_is_found(registered: list[RegisteredWebhook], found: list[tuple[str, str]]) -> None:
    findings = compare(registered, WANTED).findings

    assert [finding.kind for finding in findings] == [kind for kind, _ in found]
    for finding, (_, part) in zip(findings, found, strict=True):
        assert part in finding.sentence


def test_without_the_listeners_address_any_listener_with_the_path_counts() -> None:
    wanted = WantedWebhook(PATH, MODEL_EVENTS)
    other = webhook("other", url="https://elsewhere.test/mlflow/x")

    comparison = compare([webhook(url=f"https://inside.test/a/mlflow/{PATH}"), other], wanted)

    assert (comparison.findings, comparison.elsewhere) == ((), 1)


def test_findings_name_no_secret_and_cannot_act_on_a_terminal() -> None:
    hostile = webhook("\x1b[2Jgone\u202e" + "x" * 5_000, events=tuple(f"\x1b{number}" for number in range(500)))

    findings = compare([hostile, webhook("b", url=f"{LISTENER}/mlflow/other-secret")], WANTED).findings

    text = "".join(finding.sentence for finding in findings)
    assert text.isprintable()
    assert PATH not in text
    assert "other-secret" not in text
    assert len(text) < 3_000
