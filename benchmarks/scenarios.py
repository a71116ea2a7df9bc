"""The parts of the benchmark: an open server, a server with a password, and many runs."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from benchmarks.fake_server import RUNS_PAGE_SIZE
from benchmarks.measurement import ContenderFailedError, ContenderResult, TimedRead, measure
from benchmarks.registry import LARGE, SMALL, fill
from benchmarks.task import (
    CHANGES,
    METRICS,
    PARAMS,
    PASSWORD_VARIABLE,
    REPOSITORY,
    TAGS,
    USER,
    Contender,
    ReadCounts,
    Task,
)
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, temporary_postgres
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment, wait_for_port
from verifywise_mlflow_tests.support.proxy import Proxy, proxy_before
from verifywise_mlflow_tests.support.seeding import Sizes

PASSWORD_SERVER_PYTHON = REPOSITORY / ".compat" / "current" / "bin" / "python"
"""The MLflow of ``make compat``: basic-auth needs Flask-WTF, which the product does not need."""

READER_RUNS = 100_000
CLIENT_RUNS = 2_000
"""The size for MLflow's client, which would take minutes on a larger registry."""

MAX_CLIENT_ROUNDS = 2
"""The maximum number of rounds of MLflow's client at the open server. Each of its rounds takes as long as all other
competitors together."""

ReportProgress = Callable[[str], None]


class Part(StrEnum):
    """A part that can be measured separately."""

    OPEN = "open"
    PASSWORD = "password"  # noqa: S105  # a word
    RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Measurements:
    """The figures of a part."""

    part: Part
    title: str
    rows: Sequence[ContenderResult]


def measure_part(part: Part, home: Path, rounds: int, report_progress: ReportProgress) -> Measurements:
    """Start what a part needs, measure, and stop it.

    Args:
        part: the part to measure.
        home: an empty directory.
        rounds: the number of timed readings per competitor.
        report_progress: called with progress messages.
    """
    match part:
        case Part.OPEN:
            return _open_server(home, rounds, report_progress)
        case Part.PASSWORD:
            return _password_server(home, rounds, report_progress)
        case Part.RUNS:
            return _many_runs(home, report_progress)


def _open_server(home: Path, rounds: int, report_progress: ReportProgress) -> Measurements:
    contenders = (
        *(Contender.MLFLOW_CLIENT, Contender.BARE_REST, Contender.READER),
        *(Contender.FIRST_SYNC, Contender.UNCHANGED_SYNC, Contender.POLL),
    )
    with open_server(home) as server, temporary_postgres() as postgres:
        report_progress(f"filling it with {LARGE}")
        fill(home / "mlflow.db", LARGE)
        rows = compare(contenders, LARGE, server, postgres, rounds, report_progress)
    return Measurements(Part.OPEN, f"An open server: {LARGE}, {METRICS + PARAMS + TAGS} values a run", rows)


def _password_server(home: Path, rounds: int, report_progress: ReportProgress) -> Measurements:
    contenders = (Contender.READER, Contender.FIRST_SYNC, Contender.UNCHANGED_SYNC, Contender.POLL)
    server, variables = password_server(home)
    with server, temporary_postgres() as postgres:
        report_progress(f"filling it with {SMALL}")
        fill(home / "mlflow.db", SMALL)
        rows = compare(contenders, SMALL, server, postgres, rounds, report_progress, variables)
        # The only round of MLflow's client is the counted round. It takes more than a minute, so the proxy's share is
        # negligible.
        clients = compare((Contender.MLFLOW_CLIENT,), SMALL, server, postgres, 0, report_progress, variables)
    return Measurements(Part.PASSWORD, f"A server with --app-name basic-auth: {SMALL}", (*clients, *rows))


def _many_runs(home: Path, report_progress: ReportProgress) -> Measurements:
    port = free_port()
    rows = []
    with ChildProcess(
        "the imitation",
        [sys.executable, "-m", "benchmarks.fake_server", str(port)],
        log=home / "imitation.log",
        env=child_environment(),
        cwd=REPOSITORY,
    ) as server:
        wait_for_port(server, port, seconds=30)
        # One round is enough: it repeats the same request hundreds of times.
        for contender, count in ((Contender.MLFLOW_RUNS, CLIENT_RUNS), (Contender.READER_RUNS, READER_RUNS)):
            report_progress(f"{contender}, {count:,}")
            task = Task(f"http://127.0.0.1:{port}", pages=count // RUNS_PAGE_SIZE)
            result = measure(contender, task, server)
            _expect(result.counts.runs == count, contender, result.counts)
            rows.append(ContenderResult(contender, rounds=[result]))
    return Measurements(Part.RUNS, f"Runs from an imitation of MLflow, {RUNS_PAGE_SIZE} a request", rows)


def password_server(home: Path, arguments: Sequence[str] = ()) -> tuple[MlflowServer, Mapping[str, str]]:
    """Return an unstarted server that requires a password, and the variables with which its readers authenticate."""
    password = secrets.token_urlsafe(16)
    settings = home / "basic-auth.ini"
    settings.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{home}/basic-auth.db\n"
        f"admin_username = {USER}\nadmin_password = {password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    server_variables = {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(16),
    }
    arguments = ("--app-name", "basic-auth", *arguments)
    server = open_server(home, PASSWORD_SERVER_PYTHON, arguments, server_variables)
    return server, {"MLFLOW_TRACKING_USERNAME": USER, PASSWORD_VARIABLE: password}


def open_server(
    home: Path,
    python: Path = Path(sys.executable),
    arguments: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> MlflowServer:
    """Return an unstarted server whose database is ``mlflow.db`` in its home."""
    return MlflowServer(
        backend_uri=f"sqlite:///{home}/mlflow.db",
        artifacts=home / "artifacts",
        log=home / "mlflow.log",
        arguments=arguments,
        environment=variables,
        program=(python, "-m", "mlflow"),
    )


def compare(
    contenders: Sequence[Contender],
    sizes: Sizes,
    server: MlflowServer,
    postgres: EmbeddedPostgres,
    rounds: int,
    report_progress: ReportProgress,
    variables: Mapping[str, str] | None = None,
    change: Callable[[], object] = lambda: None,
) -> list[ContenderResult]:
    """Run all competitors once through a counting proxy, as a warm-up. Then time them in alternation.

    Alternation spreads other load of the machine evenly. ``change`` is called before the sync that must find
    changes.
    """
    measured = [ContenderResult(contender) for contender in contenders]
    with proxy_before(server.uri) as proxy:
        task = Task(proxy.uri, variables is not None, postgres.create_database("counted"))
        for row in measured:
            report_progress(f"counting requests: {row.contender}")
            if row.contender is Contender.CHANGED_SYNC:
                change()
            counted_run = measure(row.contender, task, server.process, variables=variables, at_start=proxy.forget)
            check_counts(row.contender, counted_run, sizes)
            _take_down(proxy, row)
            if not rounds:
                row.rounds.append(counted_run)
    for number in range(1, rounds + 1):
        task = replace(task, uri=server.uri, database_url=postgres.create_database(f"round_{number}"))
        for row in measured:
            if row.contender is Contender.MLFLOW_CLIENT and number > MAX_CLIENT_ROUNDS:
                continue
            report_progress(f"round {number} of {rounds}: {row.contender}")
            if row.contender is Contender.CHANGED_SYNC:
                change()
            row.rounds.append(measure(row.contender, task, server.process, variables=variables))
            check_counts(row.contender, row.rounds[-1], sizes)
    return measured


def _take_down(proxy: Proxy, row: ContenderResult) -> None:
    failed_requests = [exchange.target for exchange in proxy.exchanges if exchange.status != 200]
    if failed_requests:
        raise ContenderFailedError(f"{row.contender}: the server refused {failed_requests[:3]}")
    row.requests = proxy.requests
    row.response_bytes = sum(exchange.response_bytes for exchange in proxy.exchanges)


def check_counts(contender: Contender, finished: TimedRead, sizes: Sizes) -> None:
    """Check that every contender read all objects."""
    counts = finished.counts
    match contender:
        case Contender.POLL:
            return
        case Contender.FIRST_SYNC | Contender.UNCHANGED_SYNC | Contender.CHANGED_SYNC:
            records = {Contender.FIRST_SYNC: sizes.versions, Contender.CHANGED_SYNC: CHANGES}.get(contender, 0)
            _expect(
                counts == ReadCounts(models=sizes.models, versions=sizes.versions, records=records), contender, counts
            )
        case _:
            expected = ReadCounts(
                models=sizes.models,
                versions=sizes.versions,
                runs=sizes.runs,
                experiments=sizes.experiments,
                logged_models=sizes.logged_models,
                values=sizes.runs * (METRICS + PARAMS + TAGS),
            )
            _expect(counts == expected, contender, counts)


def _expect(holds: bool, contender: Contender, counts: ReadCounts) -> None:
    if not holds:
        raise ContenderFailedError(f"{contender} did not read what is there, but {counts}")
