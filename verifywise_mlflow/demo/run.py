"""The demo from beginning to end: ``make demo``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from rich.console import Console

from verifywise_mlflow.common.signals import escape_unencodable_output, interruptible
from verifywise_mlflow.demo.dagster_instance import instance_environment
from verifywise_mlflow.demo.environment_file import environment_file
from verifywise_mlflow.demo.errors import DemoError
from verifywise_mlflow.demo.progress import Progress
from verifywise_mlflow.demo.seeding import TENANTS, fill_registries
from verifywise_mlflow.demo.servers.dagster_servers import DagsterServers
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, Login
from verifywise_mlflow.demo.servers.process import ChildProcess
from verifywise_mlflow.demo.summary import print_addresses, print_commands, print_failures, print_summary
from verifywise_mlflow.demo.wait_for_syncs import SyncOutcome, request_syncs, wait_for_syncs
from verifywise_mlflow.demo.workdir import DemoHome, Ports
from verifywise_mlflow.persistence import database, role_grants
from verifywise_mlflow.persistence.queries.overview import Overview, overview
from verifywise_mlflow.persistence.store import Store

PIPELINE = "verifywise_pipeline"
"""The database role that the demo's Dagster runs as."""

INTERRUPTED = 130
"""What shells report for a program that Ctrl-C ended."""


def run_demo(home: Path, once: bool, fresh: bool) -> int:
    """Start everything, sync two tenants, show what was found.

    Args:
        home: the directory that the demo keeps its databases and files in.
        once: end after the summary instead of staying up until Ctrl-C.
        fresh: throw an earlier demo away.

    Returns:
        The program's exit code: 0 if all syncs succeeded.
    """
    escape_unencodable_output()
    console = Console()
    place = DemoHome(home)
    try:
        with interruptible(to_the_end=True), place.locked():
            return _Demo(place, Progress(console)).run(once=once, fresh=fresh)
    except (DemoError, database.DatabaseError) as error:
        console.print(f"The demo failed: {error}", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


class _Demo:
    """One run of the demo, in the order in which it happens."""

    def __init__(self, home: DemoHome, progress: Progress) -> None:
        self._home = home
        self._progress = progress
        self._children: list[ChildProcess] = []
        self._exit_code = INTERRUPTED

    def run(self, *, once: bool, fresh: bool) -> int:
        ports = self._begin(fresh=fresh)
        with ExitStack() as stack:
            try:
                environment = self._bring_up(stack, ports)
                if not once:
                    self._stay(environment)
            except KeyboardInterrupt:
                self._progress.say("Stopping")
        return self._exit_code

    def _bring_up(self, stack: ExitStack, ports: Ports | None) -> dict[str, str]:
        """Start all, sync, show; return by which variables the command line finds it."""
        postgres = self._start_postgres(stack)
        mlflow = self._start_mlflow(stack, postgres, ports)
        if ports is None:
            with self._progress.step("Training and registering models for two tenants") as tell:
                fill_registries(mlflow.uri, self._home.logs, tell)
        self._write_tenants_file(mlflow)
        self._write_waivers_file()
        environment = instance_environment(postgres, let_in(postgres), self._home.tenants_file)

        began = time.time()
        dagster = self._start_dagster(stack, environment, ports)
        self._home.remember(Ports(mlflow=mlflow.port, dagster=dagster.port))
        outcomes = self._sync(dagster, since=began)
        self._show(outcomes, postgres, mlflow, dagster)
        self._exit_code = 0 if all(outcome.failure is None for outcome in outcomes) else 1
        return environment

    def _begin(self, *, fresh: bool) -> Ports | None:
        """Return the ports of the demo that is resumed; none if it starts anew."""
        shown = _short(self._home.path)
        ports = None if fresh else self._home.earlier_ports()
        if ports is not None:
            self._progress.say(f"Resuming the demo in {shown} (make demo DEMO_ARGS=--fresh starts over)")
            return ports
        if self._home.is_new():
            self._progress.say(f"Starting clean in {shown}")
        else:
            what = "the earlier demo" if fresh else "what a demo left there before it was complete"
            self._progress.say(f"Starting clean in {shown}: removing {what}")
        self._home.clear()
        return None

    def _start_postgres(self, stack: ExitStack) -> EmbeddedPostgres:
        with self._progress.step("Starting Postgres"):
            postgres = EmbeddedPostgres(
                self._home.postgres,
                databases=("verifywise", "dagster", "mlflow"),
                log=self._home.logs / "postgres.log",
            )
            stack.enter_context(postgres)
        self._children.append(postgres.process)
        return postgres

    def _start_mlflow(self, stack: ExitStack, postgres: EmbeddedPostgres, ports: Ports | None) -> MlflowServer:
        with self._progress.step("Starting MLflow"):
            mlflow = MlflowServer(
                backend_uri=postgres.url("mlflow"),
                artifacts=self._home.artifacts,
                log=self._home.logs / "mlflow.log",
                arguments=["--enable-workspaces"],
                preferred_port=ports.mlflow if ports else None,
            )
            stack.enter_context(mlflow)
        self._children.append(mlflow.process)
        return mlflow

    def _write_tenants_file(self, mlflow: MlflowServer) -> None:
        """Each tenant has a workspace of its own on the one server."""
        tenants = {
            tenant: {"tracking_uri": mlflow.uri, "allow_private_network": True, "workspace": tenant}
            for tenant in TENANTS
        }
        self._home.tenants_file.write_text(yaml.safe_dump({"tenants": tenants}, sort_keys=False))

    def _write_waivers_file(self) -> None:
        """One waiver, to be seen at work; whoever changed the file keeps it as it is."""
        if self._home.waivers_file.exists():
            return
        waiver = {
            "tenant": "acme-bank",
            "rule": "dataset-reference",
            "model": "collections-uplift",
            "approver": "m.okafor (model risk)",
            "reason": "Its training data were the vendor's; it is retired with the quarter.",
            "expires": datetime.now(UTC).date() + timedelta(days=30),
        }
        self._home.waivers_file.write_text(yaml.safe_dump({"waivers": [waiver]}, sort_keys=False))

    def _start_dagster(self, stack: ExitStack, environment: dict[str, str], ports: Ports | None) -> DagsterServers:
        with self._progress.step("Starting Dagster"):
            dagster = DagsterServers(
                self._home.dagster,
                environment=environment,
                logs=self._home.logs,
                preferred_port=ports.dagster if ports else None,
            )
            stack.enter_context(dagster)
        self._children += dagster.children
        return dagster

    def _sync(self, dagster: DagsterServers, *, since: float) -> list[SyncOutcome]:
        with self._progress.step("Syncing the tenants in Dagster") as tell:
            request_syncs(dagster.api, TENANTS)
            return wait_for_syncs(dagster.api, TENANTS, since=since, tell=tell, check=self._check_children)

    def _show(
        self, outcomes: list[SyncOutcome], postgres: EmbeddedPostgres, mlflow: MlflowServer, dagster: DagsterServers
    ) -> None:
        console = self._progress.console
        print_summary(console, _overviews(postgres.url("verifywise")))
        print_failures(console, outcomes, dagster.uri)
        print_addresses(console, dagster.uri, mlflow.uri, TENANTS)

    def _stay(self, environment: Mapping[str, str]) -> None:
        with environment_file(self._home.environment_file, environment) as file:
            print_commands(self._progress.console, file)
            self._progress.say("Press Ctrl-C to stop")
            while True:
                self._check_children()
                time.sleep(0.5)

    def _check_children(self) -> None:
        for child in self._children:
            if not child.is_alive():
                raise child.failure("ended by itself, so all else is stopped")


def let_in(postgres: EmbeddedPostgres) -> Login:
    """Migrate the schema as its owner, and return who Dagster is: a role that may sync, and has Dagster's own database.

    So row-level security is in force here, as in production.
    """
    login = postgres.create_login(PIPELINE, owns="dagster")
    owners = postgres.url("verifywise")
    database.upgrade(owners)
    with Store(owners) as store, store.begin_shared() as connection:
        role_grants.grant(connection, login.role, "pipeline", None, datetime.now(UTC))
    return login


def _overviews(url: str) -> dict[str, Overview]:
    with Store(url) as store:
        return {tenant: overview(store, tenant, worst=20) for tenant in TENANTS}


def _short(path: Path) -> str:
    """Return the path as people would write it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
