"""Postgres restarts during a sync: the sync ends with a clear error, and the next sync continues."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, remove_postgres
from verifywise_mlflow.demo.servers.postgres_home import prepare_home
from verifywise_mlflow.persistence.errors import DatabaseFailedError
from verifywise_mlflow.persistence.repositories import records, tracked_objects
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.database_snapshot import differences, outcomes
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync


@dataclass(frozen=True, slots=True)
class OwnPostgres:
    """A server of this test alone, which it may shut down."""

    server: EmbeddedPostgres
    data: Path

    def restart(self, mode: str) -> None:
        """Shut the server down, ``immediate`` (as a crash) or ``fast``, and start it again on the same port."""
        self.control("restart", "--mode", mode, "--log", str(prepare_home(self.data).data / "restarted.log"))

    def stop(self) -> None:
        """Stop the server as a crash would."""
        self.control("stop", "--mode", "immediate")

    def control(self, *arguments: str) -> None:
        """Run a command of pg_ctl on the server."""
        home = prepare_home(self.data)
        process = home.run("pg_ctl", *arguments, "--wait", "--silent", "--pgdata", home.data)
        assert process.returncode == 0, process.stderr


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[OwnPostgres]:
    data = tmp_path / "own-postgres"
    try:
        with EmbeddedPostgres(data, databases=["lost"]) as server:
            yield OwnPostgres(server, data)
    finally:
        remove_postgres(data)  # also stops it if pg_ctl has restarted it


@pytest.fixture
def lost_url(own_postgres: OwnPostgres) -> str:
    return own_postgres.server.url("lost")


PLACES: dict[str, tuple[object, str]] = {
    "between two transactions": (tracked_objects, "pending_reads"),
    "inside of one": (records, "write_records"),
}


@pytest.mark.parametrize("mode", ["immediate", "fast"])
@pytest.mark.parametrize("place", PLACES)
def test_a_database_restart_during_a_sync_is_a_clear_error_and_the_next_sync_continues(
    mode: str,
    place: str,
    registry: Registry,
    tenant: Tenant,
    tenants_file: Path,
    store: Store,
    database_url: str,
    own_postgres: OwnPostgres,
    lost_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.trained_version("churn")
    registry.version("fraud", run_id="f" * 32, tags={"owner": "ada"})
    sync(tenant, store)
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", lost_url)

    with monkeypatch.context() as patched:
        before_first_call(patched, *PLACES[place], action=lambda: own_postgres.restart(mode))
        interrupted = CliRunner().invoke(app, ["sync", "acme"])
    resumed = CliRunner().invoke(app, ["sync", "acme"])

    message = " ".join(interrupted.output.split())
    assert interrupted.exit_code == 1, message
    assert isinstance(interrupted.exception, SystemExit)
    assert re.search("the database (failed|cannot be reached): ", message)
    assert re.search("the next sync resumes from there|and whether the server runs", message)
    assert "Traceback" not in message
    assert own_postgres.server.password not in message
    assert resumed.exit_code == 0, resumed.output
    assert differences(lost_url, database_url) == {}
    # The restarted server stored the entry about the sync that the restart interrupted.
    assert outcomes(lost_url) == ["failed", "incomplete"]


def test_a_long_lived_store_survives_database_restarts(own_postgres: OwnPostgres, lost_url: str) -> None:
    with Store(lost_url) as store:
        for mode in ("immediate", "fast"):
            with store.exclusive("acme"), store.begin("acme") as session:
                assert session.scalar(text("SELECT 1")) == 1
            own_postgres.restart(mode)
        with store.exclusive("acme"), store.begin("acme") as session:
            assert session.scalar(text("SELECT 1")) == 1


def test_a_lost_database_does_not_hide_why_a_sync_failed(
    tenant: Tenant, own_postgres: OwnPostgres, lost_url: str
) -> None:
    first = ValueError("the first thing that went wrong")

    def fail() -> None:
        own_postgres.stop()
        raise first

    with Store(lost_url) as store, pytest.raises(ValueError, match="the first thing") as raised, Sync(tenant, store):
        fail()

    assert raised.value is first
    assert any("the database" in note for note in getattr(first, "__notes__", []))


def test_an_unreachable_database_is_a_clear_error(own_postgres: OwnPostgres, lost_url: str) -> None:
    with Store(lost_url) as store:
        own_postgres.stop()
        for action in (lambda: store.begin("acme"), lambda: store.exclusive("acme")):
            with pytest.raises(DatabaseFailedError, match="the database cannot be reached") as raised, action():
                pass
            assert own_postgres.server.password not in str(raised.value)


def before_first_call(patched: pytest.MonkeyPatch, module: object, name: str, *, action: Callable[[], None]) -> None:
    """Act once, right before a function is called for the first time."""
    real = getattr(module, name)
    pending_actions = [action]

    def called(*arguments: object, **named: object) -> object:
        if pending_actions:
            pending_actions.pop()()
        return real(*arguments, **named)

    patched.setattr(module, name, called)
