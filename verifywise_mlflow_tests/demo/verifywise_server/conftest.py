"""A contract server of each dialect, and requests of its users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

import pytest

from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow_tests.demo.verifywise_server.facts import A1, A2, EVIDENCE, RISK, B
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, EDITOR, PASSWORD, Api


@pytest.fixture(scope="module")
def servers() -> Iterator[Mapping[Dialect, VerifyWiseServer]]:
    """A server of each dialect."""
    ticks = count(1_800_000_000_000)  # no two requests happen in the same millisecond

    def clock() -> float:
        return next(ticks) / 1000

    with (
        VerifyWiseServer(A1, clock=clock) as a1,
        VerifyWiseServer(A2, clock=clock) as a2,
        VerifyWiseServer(B, clock=clock) as b,
    ):
        for server in (a1, a2, b):
            server.add_user(EDITOR, PASSWORD)
            server.add_user(ADMIN, PASSWORD, role="Admin")
        yield {A1: a1, A2: a2, B: b}


@pytest.fixture
def server(servers: Mapping[Dialect, VerifyWiseServer], dialect: Dialect) -> VerifyWiseServer:
    """An empty server of the test's dialect."""
    servers[dialect].clear()
    return servers[dialect]


@pytest.fixture
def api(server: VerifyWiseServer) -> Api:
    """An Editor's requests."""
    return Api(server)


@pytest.fixture
def ids(api: Api) -> dict[str, int]:
    """One object of each kind."""
    model = api.post("/modelInventory", {"provider": "p", "model": "m", "version": "1"}).id
    risk = api.post("/modelRisks", {**RISK, "model_id": model}).id
    file = api.upload("card.md", b"# Card", "text/markdown", model_id=str(model)).id
    evidence = api.post("/evidenceHub", {**EVIDENCE, "mapped_model_ids": [model]}).id
    return {"model": model, "risk": risk, "file": file, "evidence": evidence}
