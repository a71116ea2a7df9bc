"""The controls of the contract server that tests have: faults and restarts."""

from __future__ import annotations

from pathlib import Path

import pytest
import urllib3

from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow_tests.demo.verifywise_server.facts import B
from verifywise_mlflow_tests.support.verifywise_api import EDITOR, PASSWORD, Api


@pytest.mark.parametrize("dialect", [B])
def test_planned_faults_happen_once(server: VerifyWiseServer, api: Api) -> None:
    server.faults.answer_next(503, headers={"Retry-After": "7"})
    assert api.get("/modelInventory").headers["Retry-After"] == "7"

    server.faults.lose_request(method="POST")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        api.post("/modelInventory", {"model": "lost"})
    server.faults.lose_answer(method="POST")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        api.post("/modelInventory", {"model": "stored"})

    assert [row["model"] for row in api.get("/modelInventory").rows] == ["stored"]
    logged = [(request.method, request.path, request.status) for request in server.requests]
    assert logged[1:] == [
        ("GET", "/modelInventory", 503),
        ("POST", "/modelInventory", None),
        ("POST", "/modelInventory", 201),
        ("GET", "/modelInventory", 200),
    ]


def test_a_restart_keeps_what_is_stored(tmp_path: Path) -> None:
    file = tmp_path / "verifywise.db"
    with VerifyWiseServer(B, file=file) as server:
        server.add_user(EDITOR, PASSWORD)
        api = Api(server)
        model = api.post("/modelInventory", {"model": "m"}).id
        server.restart()
        assert api.get(f"/modelInventory/{model}").status == 200
        api.send("DELETE", f"/modelInventory/{model}")

    with VerifyWiseServer(B, file=file) as server:
        assert Api(server).post("/modelInventory", {"model": "m"}).id == model + 1


@pytest.mark.parametrize("dialect", [B])
def test_a_person_can_be_faster_than_a_request(server: VerifyWiseServer, api: Api, ids: dict[str, int]) -> None:
    path = f"/modelInventory/{ids['model']}"
    server.faults.do_before(lambda: api.patch(path, {"status": "Blocked"}), method="GET", path=path)

    statuses = [api.get(path).row["status"], api.patch(path, {"status": "Pending"}).row["status"]]

    assert statuses == ["Blocked", "Pending"]
    assert [request.method for request in server.requests if request.path == path] == ["PATCH", "GET", "PATCH"]
