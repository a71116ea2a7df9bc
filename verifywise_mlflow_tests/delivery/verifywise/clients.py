"""VerifyWise clients of the contract server for tests."""

from __future__ import annotations

import pytest

from verifywise_mlflow.delivery.verifywise.rest_client import VerifyWiseClient
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow.tenants.delivery.verifywise import VerifyWiseSettings
from verifywise_mlflow_tests.support.fake_clock import FakeClock
from verifywise_mlflow_tests.support.verifywise_api import EDITOR, PASSWORD

LIMITS = Limits(connect_timeout_seconds=2, request_timeout_seconds=5, max_attempts=1)


def client_for(
    server: VerifyWiseServer,
    monkeypatch: pytest.MonkeyPatch,
    *,
    email: str = EDITOR,
    password: str = PASSWORD,
    token: str | None = None,
    metrics_token: str | None = None,
    clock: FakeClock | None = None,
    limits: Limits = LIMITS,
    **settings: object,
) -> VerifyWiseClient:
    """Return a client that logs in, or has a token. The client sleeps on a fake clock."""
    monkeypatch.setenv("VERIFYWISE_TEST_PASSWORD", password)
    auth: dict[str, object] = {"kind": "login", "email": email, "password": "env:VERIFYWISE_TEST_PASSWORD"}
    if token is not None:
        monkeypatch.setenv("VERIFYWISE_TEST_TOKEN", token)
        auth = {"kind": "token", "token": "env:VERIFYWISE_TEST_TOKEN"}
    if metrics_token is not None:
        monkeypatch.setenv("VERIFYWISE_TEST_METRICS_TOKEN", metrics_token)
        settings["metrics_token"] = "env:VERIFYWISE_TEST_METRICS_TOKEN"
    time = clock or FakeClock()
    return VerifyWiseClient(
        VerifyWiseSettings.model_validate({"url": server.uri, "auth": auth, "allow_private_network": True, **settings}),
        limits=limits,
        clock=time,
        sleep=time.sleep,
    )
