"""Who may send a request to VerifyWise, and how many."""

from __future__ import annotations

import base64
import json

import pytest

from verifywise_mlflow.demo.servers.verifywise_server.rate_limits import FEW_REQUESTS
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow_tests.demo.verifywise_server.facts import A1, A2, EVERY, B
from verifywise_mlflow_tests.support.fake_clock import FakeClock
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, EDITOR, PASSWORD, Api


@pytest.mark.parametrize("dialect", EVERY)
def test_a_session_is_refused_in_three_ways(server: VerifyWiseServer) -> None:
    anonymous = Api(server, None)
    statuses = [anonymous.get("/modelInventory").status]
    user = Api(server)
    user.token += "x"
    statuses.append(user.get("/modelInventory").status)
    user = Api(server)
    server.add_user(EDITOR, PASSWORD, role="Reviewer")
    statuses.append(user.get("/modelInventory").status)
    server.add_user(EDITOR, PASSWORD)

    assert statuses == [400, 401, 403]


def test_a_session_ends_after_an_hour() -> None:
    clock = FakeClock()
    with VerifyWiseServer(A1, clock=clock) as server:
        server.add_user(EDITOR, PASSWORD)
        api = Api(server)
        header, claims, _ = api.token.split(".")

        clock.now += 3_599
        assert api.get("/modelInventory").status == 200
        clock.now += 2
        assert api.get("/modelInventory").status == 406

    assert json.loads(base64.urlsafe_b64decode(header + "=="))["alg"] == "HS256"
    assert {"id", "roleName", "organizationId", "email"} <= json.loads(base64.urlsafe_b64decode(claims + "==")).keys()


@pytest.mark.parametrize(("dialect", "status"), [(A1, 200), (A2, 200), (B, 401)])
def test_a_deleted_token_works_on_in_a(server: VerifyWiseServer, status: int) -> None:
    admin = Api(server, ADMIN)
    token = admin.post("/tokens", {"name": "t", "expires_in_days": 30})
    user = Api(server, None)
    user.token = str(token.row["token"])
    assert user.get("/modelInventory").status == 200

    assert admin.send("DELETE", f"/tokens/{token.id}").status == 200

    assert user.get("/modelInventory").status == status


def test_five_logins_a_minute_are_allowed() -> None:
    clock = FakeClock()
    with VerifyWiseServer(A1, clock=clock) as server:
        server.add_user(EDITOR, PASSWORD)
        api = Api(server, None)
        statuses = [api.log_in(EDITOR).status for _ in range(6)]
        clock.now += 60
        statuses.append(api.log_in(EDITOR).status)

    assert statuses == [202] * 5 + [429, 202]


@pytest.mark.parametrize("dialect", EVERY)
def test_file_requests_are_limited_together(api: Api) -> None:
    answers = [api.get("/file-manager") for _ in range(101)]

    assert [answer.status for answer in answers] == [200] * 100 + [429]
    assert answers[0].headers["RateLimit-Remaining"] == "99"
    assert 890 <= int(answers[-1].headers["Retry-After"]) <= 900
    assert set(answers[-1].content) == {"message", "statusCode"}
    assert api.get("/file-manager/1/metadata").status == 429
    assert api.get("/modelInventory").status == 200


@pytest.mark.parametrize(("dialect", "allowed"), [(A1, 301), (A2, 301), (B, 299)])
def test_b_limits_all_requests(api: Api, allowed: int) -> None:
    statuses = [api.get("/modelInventory/999").status for _ in range(301)]

    assert statuses.count(204) == allowed  # the login was the first


def test_some_builds_of_b_allow_a_hundred_requests_in_a_quarter_of_an_hour() -> None:
    clock = FakeClock()
    with VerifyWiseServer(B, all_requests=FEW_REQUESTS, clock=clock) as server:
        server.add_user(EDITOR, PASSWORD)
        api = Api(server)
        answers = [api.get("/modelInventory/999") for _ in range(100)]
        clock.now += 900
        answers.append(api.get("/modelInventory/999"))

    assert [answer.status for answer in answers] == [204] * 99 + [429, 204]
    assert (answers[99].headers["RateLimit-Limit"], answers[99].headers["Retry-After"]) == ("100", "900")
