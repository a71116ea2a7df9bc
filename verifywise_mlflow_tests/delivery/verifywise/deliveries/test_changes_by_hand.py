"""People's changes in VerifyWise stay: a delivery deletes nothing, and changes only fields that have its last value."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow_tests.delivery.verifywise.deliveries.delivering import ONE_SERVER, OWNER_RULE, Delivering
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, EDITOR, Api

one_server = pytest.mark.parametrize("delivering", ONE_SERVER, indirect=True)
one_dialect = pytest.mark.parametrize("delivering", [Dialect.B], indirect=True)
with_and_without_keys = pytest.mark.parametrize("delivering", [Dialect.A1, Dialect.B], indirect=True)
ALL_TAGS = {"owner": "Ada", "business_purpose": "Finds fraud"}


@one_server
def test_a_risk_that_a_person_accepted_stays_so_and_no_other_is_opened(delivering: Delivering) -> None:
    delivering.seed(business_purpose="Finds fraud")
    delivering.deliver()
    (risk,) = delivering.risks()
    delivering.client.update_risk(risk.id, {"status": "Accepted"})
    delivering.later(days=1)
    delivering.seed(business_purpose="Finds more fraud")
    delivering.deliver()
    delivering.later(days=1)
    delivering.seed(**ALL_TAGS)

    delivering.deliver()

    assert delivering.risk_statuses() == ["Accepted"]


@one_server
def test_a_field_that_a_person_changed_is_left_alone(delivering: Delivering) -> None:
    delivering.seed(business_purpose="Finds fraud")
    delivering.deliver()
    (risk,) = delivering.risks()
    delivering.client.update_risk(risk.id, {"mitigation_plan": "Ask Grace."})
    delivering.later(days=1)
    # A risk's remedy does not change with a record, so another setting makes the texts differ: another level.
    path = delivering.tenant.compliance.policies[0]
    policy = path.read_text().replace("remedy: Do it.", "remedy: Do it now.")
    path.write_text(policy.replace("severity: high", "severity: low"))
    delivering.evaluate()

    report = delivering.deliver()

    (risk,) = delivering.risks()
    assert (risk.fields["mitigation_plan"], risk.fields["risk_level"]) == ("Ask Grace.", "Low")
    assert any(f"changed by hand: {OWNER_RULE}: mitigation_plan" in remark for remark in report.remarks)


def test_an_approved_entry_stays_approved_and_a_delivery_never_approves(delivering: Delivering) -> None:
    delivering.seed()
    delivering.deliver(restrict_failing=True)
    restricted = delivering.entry().fields["status"]
    delivering.client.update_inventory_entry(delivering.entry().id, {"status": "Approved"})
    delivering.later(days=1)
    delivering.seed(**ALL_TAGS)

    report = delivering.deliver(restrict_failing=True)

    assert restricted == "Restricted"
    assert delivering.entry().fields["status"] == "Approved"
    assert any("changed by hand: status" in remark for remark in report.remarks)


@with_and_without_keys
def test_what_a_person_deleted_is_not_created_again(delivering: Delivering, server: VerifyWiseServer) -> None:
    delivering.seed()
    delivering.deliver()
    delivering.delete_entry(server)
    delivering.later(days=1)
    delivering.seed(business_purpose="Finds fraud")

    first = delivering.deliver()
    delivering.seed(business_purpose="Finds more fraud")
    second = delivering.deliver()

    assert delivering.entries() == []
    assert any("deleted there" in remark for remark in first.remarks)
    assert (second.versions, dict(second.counts)) == ({"delivered": 1}, {})


@one_dialect
def test_a_risk_that_a_person_deleted_is_not_opened_again(delivering: Delivering, server: VerifyWiseServer) -> None:
    delivering.seed(business_purpose="Finds fraud")
    delivering.deliver()
    delivering.delete_risk(server)
    delivering.grant_waiver(OWNER_RULE)

    delivering.deliver()

    assert [risk.is_deleted for risk in delivering.risks()] == [True]


@with_and_without_keys
def test_no_request_deletes_anything_or_approves_a_model(delivering: Delivering, server: VerifyWiseServer) -> None:
    delivering.seed(1)
    delivering.seed(2, **ALL_TAGS)
    delivering.deliver(restrict_failing=True)
    delivering.later(days=1)
    delivering.seed(1, **ALL_TAGS)
    delivering.seed(2)
    delivering.deliver(restrict_failing=True)

    methods = {request.method for request in server.requests}
    bodies = [request.body for request in server.requests if request.path.startswith("/modelInventory")]

    assert methods <= {"GET", "POST", "PATCH", "PUT"}
    assert [body for body in bodies if b"Approved" in body] == []


@with_and_without_keys
def test_what_a_person_changes_during_a_delivery_is_left_alone(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    for number in (1, 2):
        delivering.seed(number, business_purpose="Finds fraud")
    delivering.deliver(restrict_failing=True)
    first, second = delivering.entries()
    _, risk = delivering.risks()
    person = Api(server, ADMIN)

    def decide() -> None:
        person.patch(f"/modelInventory/{second.id}", {"status": "Approved"})
        person.patch(f"/modelRisks/{risk.id}", {"status": "Accepted"})

    for number in (1, 2):
        delivering.seed(number, **ALL_TAGS)
    server.faults.do_before(decide, method="PATCH", path=f"/modelInventory/{first.id}")

    report = delivering.deliver(restrict_failing=True)

    assert [entry.fields["status"] for entry in delivering.entries()] == ["Pending", "Approved"]
    assert delivering.risk_statuses() == ["Resolved", "Accepted"]
    assert any("changed by hand: status" in remark for remark in report.remarks)


@with_and_without_keys
def test_what_is_changed_was_read_by_the_request_before(delivering: Delivering, server: VerifyWiseServer) -> None:
    delivering.seed()
    delivering.deliver(restrict_failing=True)
    delivering.later(days=1)
    delivering.seed(owner="Ada")
    delivering.grant_waiver(OWNER_RULE)

    delivering.deliver(restrict_failing=False)

    changes = [
        (before.method, before.path, request.path)
        for before, request in pairwise(server.requests)
        if request.method == "PATCH" and request.path.startswith(("/modelInventory/", "/modelRisks/"))
    ]
    assert {path.split("/")[1] for _, _, path in changes} == {"modelInventory", "modelRisks"}
    assert [(method, path) for method, path, _ in changes] == [("GET", path) for _, _, path in changes]


@one_dialect
@pytest.mark.parametrize("headers", [{"Retry-After": "40"}, {"Retry-After": "600"}])
def test_a_change_does_not_wait_for_a_rate_limit_after_its_object_was_read(
    delivering: Delivering, server: VerifyWiseServer, headers: dict[str, str]
) -> None:
    delivering.seed(**ALL_TAGS)
    delivering.deliver(restrict_failing=True)
    entry = delivering.entry()
    delivering.seed()
    server.faults.answer_next(429, method="PATCH", path="/modelInventory/.*", headers=headers)
    stopped = delivering.deliver(restrict_failing=True)
    Api(server, ADMIN).patch(f"/modelInventory/{entry.id}", {"status": "Blocked"})
    delivering.later(minutes=11)

    delivering.deliver(restrict_failing=True)

    assert stopped.outcome == "stopped"
    assert delivering.entry().fields["status"] == "Blocked"


def test_a_custom_field_that_a_person_changed_is_left_alone(admin_delivering: Delivering) -> None:
    delivering = admin_delivering
    delivering.seed()
    delivering.deliver()
    entry = delivering.entry()
    (badge,) = (field for field in delivering.client.custom_field_definitions() if field.field_key == "mlflow_badge")
    delivering.client.set_custom_field(badge.id, entry.id, "see the board's minutes")
    delivering.seed(**ALL_TAGS)

    report = delivering.deliver()

    values = delivering.client.custom_field_values(entry.id)
    assert values["mlflow_badge"] == "see the board's minutes"
    assert values["mlflow_failed_rules"] in (None, "")
    assert any("changed by hand: mlflow_badge" in remark for remark in report.remarks)


EDITS = {
    "modelInventory": {
        "status": ("Approved", "Blocked", "Pending"),
        "reference_link": ("https://wiki.example.com/fraud", ""),
        "intended_use": ("Theirs", ""),
        "biases": ("None known",),
    },
    "modelRisks": {
        "status": ("In Progress", "Accepted", "Resolved", "Open"),
        "risk_level": ("Low", "Critical"),
        "mitigation_plan": ("Ask Grace.", ""),
        "risk_name": ("Theirs",),
    },
}


@one_dialect
def test_a_delivery_overwrites_nothing_but_what_it_last_wrote(delivering: Delivering, server: VerifyWiseServer) -> None:
    chance = random.Random(1)
    person = Api(server, ADMIN)
    for _ in range(6):
        owner, purpose = chance.choice(("Ada", "Bob")), chance.choice(("Finds fraud", "Something", "Scores"))
        for number in (1, 2):
            delivering.seed(number, owner=owner, business_purpose=purpose)
        delivering.deliver(restrict_failing=True)
        delivering.later(minutes=20)
        for _ in range(3):
            kind = chance.choice(list(EDITS))
            entries, risks = delivering.entries(), delivering.risks()
            ids = [entry.id for entry in entries] if kind == "modelInventory" else [risk.id for risk in risks]
            if ids:
                name = chance.choice(list(EDITS[kind]))
                person.patch(f"/{kind}/{chance.choice(ids)}", {name: chance.choice(EDITS[kind][name])})

    overwritten = list(_overwritten(server))

    assert len(overwritten) > 5
    assert [change for change in overwritten if change[1] != change[2]] == []


def _overwritten(server: VerifyWiseServer) -> Iterator[tuple[str, str, str]]:
    """Yield each change of a delivery: of what, the value before, and the value that deliveries had last written."""
    creations = {"model_history": "/modelInventory", "risk_history": "/modelRisks"}
    for kind in ("model_history", "risk_history"):
        bodies = iter(
            request.body for request in server.requests if (request.method, request.path) == ("POST", creations[kind])
        )
        ours: dict[tuple[object, object], str] = {}
        for row in server.stored(kind):
            if row["user_email"] != EDITOR:
                continue
            if row["action"] == "created":
                ours |= {(row["entity_id"], name): _text(value) for name, value in json.loads(next(bodies)).items()}
            else:
                key = (row["entity_id"], row["field_name"])
                # A risk whose rule passes is resolved, even if a person has begun to work on it.
                if (kind, row["old_value"], row["new_value"]) != ("risk_history", "In Progress", "Resolved"):
                    yield f"{kind} {key}", str(row["old_value"]), ours.get(key, "-")
                ours[key] = str(row["new_value"])


def _text(value: object) -> str:
    """Return a value as histories show it."""
    return "-" if value in (None, "", []) else str(value)
