"""Regardless of lost requests and responses, the server has exactly one object of each kind in the end."""

from __future__ import annotations

import random

import pytest

from verifywise_mlflow.demo.servers.verifywise_server.faults import Faults
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow_tests.delivery.verifywise.deliveries.delivering import OWNER_RULE, PURPOSE_RULE, Delivering

VERSIONS = (1, 2)
STEPS = 6
PATHS = (
    *("/modelInventory", "/modelInventory/.*", "/modelRisks", "/modelRisks/.*", "/file-manager", "/file-manager/.*"),
    *("/evidenceHub", "/evidenceHub/.*", "/files/attach", "/custom-fields/.*", "/users/login"),
)
OWNERS, PURPOSES = ("Ada", "Bob"), ("Finds fraud", "Something")
"""A tag with which its rule passes, and one with which it fails."""


def plan_fault(server: VerifyWiseServer, chance: random.Random) -> None:
    path, method = chance.choice(PATHS), chance.choice(("", "POST", "PATCH"))
    match chance.randrange(5):
        case 0:
            server.faults.lose_request(method=method, path=path)
        case 1 | 2:
            server.faults.lose_answer(method=method, path=path)
        case 3:
            server.faults.answer_next(502, method=method, path=path)
        case _:
            server.faults.answer_next(429, method=method, path=path, headers={"Retry-After": "600"})


def deliver(delivering: Delivering, server: VerifyWiseServer, *, retry_parked: bool = False) -> None:
    server.restart()  # the server has a real clock: reset its limits, as 20 minutes would
    delivering.deliver(retry_parked=retry_parked)
    delivering.later(minutes=20)


@pytest.mark.parametrize("seed", [1, 4])
def test_random_faults_leave_no_duplicate_and_lose_nothing(
    delivering: Delivering, server: VerifyWiseServer, seed: int
) -> None:
    chance = random.Random(seed)
    owner = purpose = 0
    for _ in range(STEPS):
        owner, purpose = chance.randrange(2), chance.randrange(2)
        for number in VERSIONS:
            delivering.seed(number, owner=OWNERS[owner], business_purpose=PURPOSES[purpose])
        for _ in range(chance.randrange(1, 4)):
            plan_fault(server, chance)
        deliver(delivering, server)

    server.faults = Faults()
    for _ in range(4):
        deliver(delivering, server, retry_parked=True)

    assert (delivering.outbox().pending, delivering.outbox().parked) == (0, 0), delivering.held()
    entries = delivering.entries()
    assert [entry.fields["version"] for entry in entries] == [str(number) for number in VERSIONS]
    failing = [rule for rule, index in ((OWNER_RULE, owner), (PURPOSE_RULE, purpose)) if index]
    for entry in entries:
        references = [
            str(risk.fields["description"]).rpartition("\n")[2]
            for risk in delivering.risks()
            if risk.model_id == entry.id
        ]
        assert len(references) == len(set(references))
        undecided = [
            reference
            for reference, risk in zip(
                references, (risk for risk in delivering.risks() if risk.model_id == entry.id), strict=True
            )
            if risk.fields["status"] == "Open"
        ]
        assert sorted(reference.split("/")[1] for reference in undecided) == sorted(failing)
    assert sorted(item.mapped_model_ids for item in delivering.evidence()) == [(entry.id,) for entry in entries]
    names = [file.filename for file in delivering.files()]
    assert len(names) == len(set(names))
    assert len([file for file in delivering.files() if file.review_status != "superseded"]) == len(VERSIONS)
