"""Real servers for the tests: one Postgres and one MLflow per session, one database and one workspace per test.

With pytest-xdist, all processes share the two servers, which the controller starts.
"""

from __future__ import annotations

import gc

gc.disable()  # until the end of the collection

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

# MLflow's client, which fills the servers, sends telemetry. MLflow's own detection of test environments does not cover
# every process in which the tests import MLflow.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# jsonschema compiles a grammar for the format `iri`, for more than a second in each process. No schema has the format.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # its import fails, which jsonschema expects

# Times without a zone are local time.
os.environ["TZ"] = "UTC"
time.tzset()

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.support.compiled_statements import share_compiled_statements
from verifywise_mlflow_tests.support.dagster_migrations import cache_scripts
from verifywise_mlflow_tests.support.databases import empty_database, migrated_database
from verifywise_mlflow_tests.support.scheduling import GroupScheduling, sort_longest_first
from verifywise_mlflow_tests.support.session_servers import (
    RunningMlflow,
    SharedServers,
    session_mlflow,
    session_postgres,
    shared_mlflow,
    shared_parent,
    shared_postgres,
)
from verifywise_mlflow_tests.support.warm_services import running_parent, warm_services

if TYPE_CHECKING:
    from xdist.remote import Producer  # type: ignore[import-untyped]
    from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

    from verifywise_mlflow_tests.demo.running_demo import RunningDemo
    from verifywise_mlflow_tests.support.read_side_bank import Bank
    from verifywise_mlflow_tests.support.registry import Registry

# A busy machine must not fail a property test. The benchmarks measure time.
hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")

cache_scripts()
share_compiled_statements()

_SERVERS = pytest.StashKey[SharedServers]()


def pytest_configure() -> None:
    """Handle SIGINT even if a shell started the tests in the background.

    Dagster handles SIGTERM as it handles SIGINT. If SIGINT were ignored, the processes that tests start would ignore
    SIGTERM, too.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first."""
    sort_longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling | None:
    """Keep the files together that share a demo."""
    return GroupScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Prepare Dagster's files, and exempt from garbage collection what the imports and the collection created.

    These objects live until the end. Each full collection would visit all of them again, which takes an eighth of the
    CPU time of the fast tests.
    """
    if "dagster" in sys.modules:  # importing Dagster takes a second and is left to the tests
        from verifywise_mlflow_tests.support.dagster_files import copy_new_files

        copy_new_files()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 50, 20)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the shell's variables for Dagster, MLflow and this product, which must not affect the tests."""
    for name in (
        "DAGSTER_HOME",
        "VERIFYWISE_TENANTS",
        "VERIFYWISE_DATABASE_URL",
        "VERIFYWISE_SCHEMA",
        "VERIFYWISE_AUDIT_SIGNING_KEY",
        "VERIFYWISE_AUDIT_WITNESSES",
        "MLFLOW_TRACKING_URI",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Start the servers in the controller of pytest-xdist, before its workers start."""
    gc.freeze()
    gc.enable()
    servers = SharedServers()
    config.stash[_SERVERS] = servers
    config.add_cleanup(servers.stop)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Give a worker the folder with the addresses of the servers."""
    node.workerinput["servers"] = node.config.stash[_SERVERS].folder


@pytest.fixture(scope="session")
def _shared_servers(request: pytest.FixtureRequest) -> str | None:
    """The folder with the addresses of the controller's servers; None if the session has one process only."""
    folder: str | None = getattr(request.config, "workerinput", {}).get("servers")
    return folder


@pytest.fixture(scope="session")
def services_parent(
    _shared_servers: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Path]]:
    """A function that returns the address of the process from which services are forked, and starts it on demand."""
    with ExitStack() as stack:

        @cache
        def address() -> Path:
            if _shared_servers:
                return shared_parent(_shared_servers)
            return stack.enter_context(running_parent(tmp_path_factory.mktemp("services") / "socket"))

        yield address


@pytest.fixture(scope="session", autouse=True)
def _warm_services(services_parent: Callable[[], Path]) -> Iterator[None]:
    """Fork services from a process that has imported everything."""
    with warm_services(services_parent):
        yield


@pytest.fixture(scope="session")
def postgres(_shared_servers: str | None) -> Iterator[EmbeddedPostgres]:
    """A Postgres server."""
    if _shared_servers:
        yield shared_postgres(_shared_servers)
    else:
        with session_postgres() as server:
            yield server


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a new database with our schema."""
    with migrated_database(postgres) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a new database without our schema."""
    with empty_database(postgres) as url:
        yield url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store on a new database."""
    store = Store(database_url)
    yield store
    store.close()


@pytest.fixture(scope="session")
def _mlflow(_shared_servers: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMlflow]:
    """A real MLflow server with workspaces, so that each test has a registry of its own."""
    if _shared_servers:
        yield shared_mlflow(_shared_servers)
    else:
        with session_mlflow(tmp_path_factory.mktemp("mlflow")) as server:
            yield server


@pytest.fixture(scope="session")
def mlflow_uri(_mlflow: RunningMlflow) -> str:
    """The URI of the session's MLflow server."""
    return _mlflow.uri


@pytest.fixture(scope="session")
def mlflow_database(_mlflow: RunningMlflow) -> Path:
    """The SQLite file of the session's MLflow server, for tests that write rows into it."""
    return _mlflow.database


@pytest.fixture(scope="session")
def mlflow_template(_mlflow: RunningMlflow) -> Path:
    """An unused SQLite file of MLflow's, to be copied for another server: migrating a new file takes 1 s."""
    return _mlflow.template


@pytest.fixture
def workspace(mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new workspace, which MLflow's own client uses during the test."""
    from verifywise_mlflow_tests.support.registry import create_workspace  # MLflow: 2 s, not for the controller

    return create_workspace(mlflow_uri, monkeypatch)


@pytest.fixture
def registry(mlflow_uri: str, mlflow_database: Path, workspace: str, tmp_path: Path) -> Registry:
    """The workspace's registry, to be filled through MLflow's own client."""
    from mlflow import MlflowClient

    from verifywise_mlflow_tests.support.registry import Registry

    return Registry(MlflowClient(mlflow_uri), tmp_path, mlflow_database.parent / "artifacts")


@pytest.fixture
def tenant(mlflow_uri: str, workspace: str) -> Tenant:
    """A tenant whose registry is the workspace."""
    return Tenant(
        tenant_id="acme",
        tracking_uri=mlflow_uri,
        workspace=workspace,
        allow_private_network=True,
        artifacts=Artifacts(sandbox="best_effort"),  # the tests also run on kernels that offer less isolation
    )


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an S3 server, for files of a group in ``scheduling.GROUPS``. Each test makes a new bucket."""
    from verifywise_mlflow_tests.artifacts.stores.servers import s3_server

    with s3_server(tmp_path_factory.mktemp("s3") / "log") as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """The demo, for the files of a group in ``scheduling.GROUPS``."""
    from verifywise_mlflow_tests.demo.running_demo import running_demo

    with running_demo(tmp_path_factory.mktemp("demo") / ".demo") as demo:
        yield demo


@pytest.fixture(scope="session")
def _synced_bank(
    postgres: EmbeddedPostgres,
    mlflow_uri: str,
    mlflow_database: Path,
    tmp_path_factory: pytest.TempPathFactory,
    _shared_sandboxes: None,
) -> Iterator[Bank]:
    from verifywise_mlflow_tests.support.read_side_bank import synced_bank

    artifacts = mlflow_database.parent / "artifacts"
    with (
        migrated_database(postgres) as url,
        synced_bank(url, mlflow_uri, artifacts, tmp_path_factory.mktemp("bank")) as bank,
    ):
        yield bank


@pytest.fixture
def synced_bank(_synced_bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A bank that was synced twice, and the environment that names it, for files of a group in ``scheduling.GROUPS``.

    Tests only read the bank.
    """
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(_synced_bank.tenants_file))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", _synced_bank.database_url)
    return _synced_bank


@pytest.fixture(scope="session", autouse=True)
def _shared_sandboxes() -> Iterator[None]:
    """Lend the sandbox's workers of one sync to the next sync. Tests that examine workers request ``own_sandboxes``."""
    from verifywise_mlflow.pipeline import due_manifests  # the whole pipeline, not for the controller
    from verifywise_mlflow_tests.support.shared_sandboxes import LendingPool, stop_shared_sandboxes

    with pytest.MonkeyPatch.context() as stage:
        stage.setattr(due_manifests, "SandboxPool", LendingPool)
        yield
    stop_shared_sandboxes()


@pytest.fixture
def own_sandboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start new workers in each sync of the test and stop them at its end."""
    from verifywise_mlflow.artifacts.sandbox.pool import SandboxPool
    from verifywise_mlflow.pipeline import due_manifests

    monkeypatch.setattr(due_manifests, "SandboxPool", SandboxPool)


@pytest.fixture
def tenants_file(
    mlflow_uri: str, workspace: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A tenants.yaml with one tenant, and the environment that names this file and the database."""
    path = tmp_path / "tenants.yaml"
    path.write_text(
        f"tenants:\n  acme: {{tracking_uri: '{mlflow_uri}', workspace: {workspace}, allow_private_network: true, "
        "artifacts: {sandbox: best_effort}}\n"
    )
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    return path
