"""The demo from start to end: ``make demo``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import yaml
from rich.console import Console

from verifywise_mlflow.common.signals import escape_unencodable_output, interruptible
from verifywise_mlflow.demo.database_roles import grant_listener_role, grant_pipeline_role
from verifywise_mlflow.demo.delivery import DemoVerifyWise, deliver
from verifywise_mlflow.demo.environment_file import environment_file
from verifywise_mlflow.demo.errors import DemoError
from verifywise_mlflow.demo.governance_files import write_governance_files
from verifywise_mlflow.demo.progress import Progress
from verifywise_mlflow.demo.registry_seeding import TENANTS, seed_registries
from verifywise_mlflow.demo.servers import mlflow_program
from verifywise_mlflow.demo.servers.dagster_instance import instance_environment
from verifywise_mlflow.demo.servers.dagster_servers import DagsterServers
from verifywise_mlflow.demo.servers.listener_server import ListenerServer
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.demo.servers.process import ChildProcess
from verifywise_mlflow.demo.summary import (
    print_addresses,
    print_agents,
    print_commands,
    print_failures,
    print_summary,
)
from verifywise_mlflow.demo.wait_for_syncs import SyncOutcome, request_syncs, wait_for_syncs
from verifywise_mlflow.demo.webhooks import DemoWebhooks
from verifywise_mlflow.demo.workdir import Ports, Workdir
from verifywise_mlflow.persistence import database
from verifywise_mlflow.persistence.queries.overview import Overview, overview
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.agents import agent_rows
from verifywise_mlflow.services.per_tenant_reading import read_each
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant

EXIT_INTERRUPTED = 130
"""The exit code that shells report for a program ended by Ctrl-C."""


def run_demo(home: Path, *, once: bool, fresh: bool, delivers: bool = False) -> int:
    """Start all servers, sync two tenants and print the results.

    Args:
        home: The folder of the demo's databases and files.
        once: Exit after the summary instead of keeping the servers running until Ctrl-C.
        fresh: Delete an earlier demo first.
        delivers: Also deliver the results to a contract server that stands for VerifyWise.

    Returns:
        The program's exit code: 0 if all syncs and deliveries succeeded.
    """
    escape_unencodable_output()
    console = Console()
    folder = Workdir(home)
    try:
        with interruptible(ignore_repeats=True), folder.locked():
            return _Demo(folder, Progress(console), delivers=delivers).run(once=once, fresh=fresh)
    except (DemoError, database.DatabaseError) as error:
        console.print(f"The demo failed: {error}", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


class _Demo:
    """One run of the demo; the methods are in order of execution."""

    def __init__(self, home: Workdir, progress: Progress, *, delivers: bool) -> None:
        self._home = home
        self._progress = progress
        self._delivers = delivers
        self._webhooks = DemoWebhooks(home.webhooks, TENANTS)
        self._children: list[ChildProcess] = []
        self._exit_code = EXIT_INTERRUPTED

    def run(self, *, once: bool, fresh: bool) -> int:
        ports = self._prepare_folder(fresh=fresh)
        with ExitStack() as stack:
            try:
                environment = self._start_all(stack, ports, listens=not once)
                if once:
                    self._progress.say("The servers stop. make demo starts them again with these results")
                else:
                    self._keep_running(environment)
            except KeyboardInterrupt:
                self._progress.say("Stopping")
        return self._exit_code

    def _start_all(self, stack: ExitStack, ports: Ports | None, *, listens: bool) -> dict[str, str]:
        """Start the servers, sync, print the results; return the environment variables for the command line."""
        postgres = self._start_postgres(stack)
        mlflow = self._start_mlflow(stack, postgres, ports)
        if ports is None:
            with self._progress.step("Training and registering models for two tenants") as report_progress:
                seed_registries(mlflow.uri, self._home.logs, report_progress)
        verifywise = self._start_verifywise(stack, ports) if self._delivers else None
        self._write_tenants_file(mlflow, verifywise)
        write_governance_files(self._home)
        environment = instance_environment(postgres, grant_pipeline_role(postgres), self._home.tenants_file)

        began = time.time()
        dagster = self._start_dagster(stack, environment, ports)
        # The listener starts while the syncs wait for Dagster's sensors, when a processor is idle.
        listener = self._start_listener(stack, postgres, ports) if listens else None
        earlier = ports or Ports(mlflow.port, dagster.port)
        self._home.remember(
            Ports(
                mlflow=mlflow.port,
                dagster=dagster.port,
                verifywise=verifywise.server.port if verifywise else earlier.verifywise,
                listener=listener.port if listener else earlier.listener,
            )
        )
        outcomes = self._sync(dagster, since=began)
        if listener:
            listener.wait_until_ready()
            self._webhooks.register(mlflow.uri, listener.uri)
        self._print_results(postgres)
        print_failures(self._progress.console, outcomes, dagster.uri)
        if listens:
            print_addresses(self._progress.console, dagster.uri, mlflow.uri, TENANTS)
        self._exit_code = 0 if all(outcome.failure is None for outcome in outcomes) else 1
        if verifywise:
            self._deliver(postgres, verifywise)
        return environment

    def _prepare_folder(self, *, fresh: bool) -> Ports | None:
        """Clear the folder unless a demo can be resumed; return that demo's ports, or None."""
        folder = _relative_path(self._home.path)
        ports = None if fresh else self._home.earlier_ports()
        if ports is not None:
            self._progress.say(f"Resuming the demo in {folder} (make demo DEMO_ARGS=--fresh starts over)")
            return ports
        if self._home.is_new():
            self._progress.say(f"Starting clean in {folder}")
        else:
            leftover = "the earlier demo" if fresh else "an incomplete demo"
            self._progress.say(f"Starting clean in {folder}: removing {leftover}")
        self._home.clear()
        return None

    def _start_postgres(self, stack: ExitStack) -> EmbeddedPostgres:
        with self._progress.step("Starting Postgres"):
            postgres = EmbeddedPostgres(
                self._home.postgres,
                databases=("verifywise_mlflow", "dagster", "mlflow"),
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
                program=mlflow_program.PROGRAM,
                environment=self._webhooks.mlflow_environment(),
            )
            stack.enter_context(mlflow)
        self._children.append(mlflow.process)
        return mlflow

    def _start_verifywise(self, stack: ExitStack, ports: Ports | None) -> DemoVerifyWise:
        verifywise = DemoVerifyWise(
            self._home.verifywise, self._home.verifywise_password, TENANTS, ports.verifywise if ports else None
        )
        stack.enter_context(verifywise.server)
        verifywise.prepare()
        return verifywise

    def _write_tenants_file(self, mlflow: MlflowServer, verifywise: DemoVerifyWise | None) -> None:
        """Write tenants.yaml. Each tenant is one workspace of the server."""
        tenants = {
            tenant: {
                "tracking_uri": mlflow.uri,
                "allow_private_network": True,
                "workspace": tenant,
                "artifacts": {"sandbox": "best_effort"},  # the demo's files are our own, and it runs on any system
                "webhooks": self._webhooks.settings(tenant),
                **({"delivery": verifywise.settings(tenant)} if verifywise else {}),
            }
            for tenant in TENANTS
        }
        self._home.tenants_file.write_text(yaml.safe_dump({"tenants": tenants}, sort_keys=False))

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

    def _start_listener(self, stack: ExitStack, postgres: EmbeddedPostgres, ports: Ports | None) -> ListenerServer:
        """Start the listener for webhooks. It is ready some seconds later."""
        login = grant_listener_role(postgres)
        listener = ListenerServer(
            environment={
                "VERIFYWISE_TENANTS": str(self._home.tenants_file),
                "VERIFYWISE_DATABASE_URL": postgres.url("verifywise_mlflow", login),
            },
            log=self._home.logs / "listener.log",
            preferred_port=ports.listener if ports else None,
        )
        stack.enter_context(listener)
        self._children.append(listener.process)
        return listener

    def _sync(self, dagster: DagsterServers, *, since: float) -> list[SyncOutcome]:
        with self._progress.step("Syncing the tenants in Dagster") as report_progress:
            request_syncs(dagster.api, TENANTS)
            return wait_for_syncs(
                dagster.api, TENANTS, since=since, report_progress=report_progress, check=self._check_children
            )

    def _print_results(self, postgres: EmbeddedPostgres) -> None:
        console = self._progress.console
        url = postgres.url("verifywise_mlflow")
        print_summary(console, _overviews(url, load_tenants(self._home.tenants_file)))
        with Store(url) as store:
            print_agents(console, read_each(store, TENANTS, agent_rows))

    def _deliver(self, postgres: EmbeddedPostgres, verifywise: DemoVerifyWise) -> None:
        with self._progress.step("Delivering to VerifyWise") as report_progress:
            tenants = load_tenants(self._home.tenants_file)
            problems = deliver(postgres.url("verifywise_mlflow"), tenants, report_progress)
        for problem in problems:
            self._exit_code = 1
            self._progress.say(f"Not delivered: {problem}")
        verifywise.print_contents(self._progress.console)

    def _keep_running(self, environment: Mapping[str, str]) -> None:
        with environment_file(self._home.environment_file, environment) as file:
            print_commands(self._progress.console, file)
            self._progress.say("Press Ctrl-C to stop")
            while True:
                self._check_children()
                time.sleep(0.5)

    def _check_children(self) -> None:
        for child in self._children:
            if not child.is_alive():
                raise child.failure("ended unexpectedly; the demo stops")


def _overviews(url: str, tenants: Mapping[str, Tenant]) -> dict[str, Overview]:
    with Store(url) as store:
        return {
            name: overview(store, name, load_rules(tenants[name]).severities, datetime.now(UTC), urgent=20)
            for name in TENANTS
        }


def _relative_path(path: Path) -> str:
    """Return the path relative to the working directory where possible."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
