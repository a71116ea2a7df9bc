"""The output of ``verifywise-mlflow deliver`` for operators and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.command_catalog import UNRESOLVED
from verifywise_mlflow.delivery.drain import MAX_TRIES
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow.services.delivery_status import delivery_problem
from verifywise_mlflow_tests.delivery.verifywise.deliveries.delivering import Delivering

newest_dialect = pytest.mark.parametrize("delivering", [Dialect.B], indirect=True)


@pytest.fixture(autouse=True)
def _tenants_file(delivering: Delivering, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = delivering.tenant.model_dump(mode="json", include={"tracking_uri", "compliance", "delivery"})
    path = tmp_path / "tenants.yaml"
    path.write_text(yaml.safe_dump({"tenants": {"acme": settings}}))
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")


def deliver(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["deliver", *arguments])


@newest_dialect
def test_the_commands_in_their_order(delivering: Delivering) -> None:
    delivering.seed()

    planned, ran, status = (json.loads(deliver(word, "acme", "--json").stdout) for word in ("plan", "run", "status"))

    counts = planned["targets"]["verifywise"]["counts"]
    assert counts["create entry"] == 1
    written = ran["targets"]["verifywise"]["counts"]
    assert {action: count for action, count in written.items() if action != "requests"} == counts
    assert status["targets"]["verifywise"]["outbox"]["pending"] == 0
    assert status["targets"]["verifywise"]["problem"] is None


@newest_dialect
def test_people_read_the_same_in_tables(delivering: Delivering) -> None:
    delivering.seed()

    planned, ran, status = (deliver(word, "acme") for word in ("plan", "run", "status"))

    assert "create entry: 1" in planned.output
    assert "open risk" in planned.output
    assert "verifywise: delivered" in ran.output
    assert "versions delivered: 1" in ran.output
    assert (planned.exit_code, ran.exit_code, status.exit_code) == (0, 0, 0)


def test_the_check_names_the_release_and_the_account(delivering: Delivering, server: VerifyWiseServer) -> None:
    result = deliver("check", "acme", "--json")

    findings = {finding["subject"]: finding for finding in json.loads(result.stdout)["targets"]["verifywise"]}
    assert f"dialect {server.dialect.value}" in findings["release"]["sentence"]
    assert "Editor of organization" in findings["account"]["sentence"]
    assert findings["custom fields"]["works"] is (server.dialect is not Dialect.B)
    assert [request.method for request in server.requests if request.path != "/users/login"] == ["GET"] * (
        len(server.requests) - 1
    )


@newest_dialect
def test_a_wrong_password_is_a_finding_and_is_not_shown(
    delivering: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_TEST_PASSWORD", "hunter2-hunter2")

    checked, ran = deliver("check", "acme"), deliver("run", "acme")
    delivering.seed()
    stopped = deliver("run", "acme")

    assert (checked.exit_code, ran.exit_code, stopped.exit_code) == (1, 0, 1)
    assert "hunter2" not in checked.output + stopped.output


@newest_dialect
def test_a_parked_version_is_a_problem_that_the_status_names(delivering: Delivering, server: VerifyWiseServer) -> None:
    delivering.seed()
    server.faults.answer_next(500, MAX_TRIES, method="POST", path="/modelInventory")
    for _ in range(MAX_TRIES):
        delivering.deliver()
        delivering.later(hours=1)

    status = deliver("status", "acme")
    problem = delivery_problem(delivering.store, delivering.tenant, delivering.now)

    assert "is parked after 3 tries" in status.output
    assert problem is not None
    assert "parked versions: 1" in problem


@newest_dialect
def test_a_version_that_waits_for_an_hour_is_stuck(delivering: Delivering) -> None:
    delivering.seed()
    delivering.drain().run(max_seconds=0)
    delivering.seed(2)
    soon = delivery_problem(delivering.store, delivering.tenant, delivering.now)
    delivering.later(minutes=61)

    late = delivery_problem(delivering.store, delivering.tenant, delivering.now)

    assert soon is None
    assert late is not None
    assert "pending versions: 1" in late


@newest_dialect
def test_the_command_names_the_targets_that_there_are(delivering: Delivering) -> None:
    result = deliver("run", "acme", "--target", "nowhere")

    assert result.exit_code == UNRESOLVED
    assert "its targets are: verifywise" in result.output
