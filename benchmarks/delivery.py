"""``python -m benchmarks.delivery``: the duration of a delivery under VerifyWise's rate limits, and what it sends.

The real outbox, drain and client deliver to the contract server over HTTP, which counts requests against VerifyWise's
documented limits: 300 a minute, and 100 in 15 minutes to the file manager. All of them use a simulated clock, which
only waiting advances, so hours pass in seconds. A response takes a twentieth of a second on this clock. On a real
VerifyWise, a change took 23 ms and a creation 69 ms. The versions are generated (``synthetic``), and their evaluation
is real.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from benchmarks.database_cost import write_manifests
from benchmarks.synthetic import TENANT, SyntheticReader
from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.delivery.drain import Drain
from verifywise_mlflow.delivery.verifywise.target import VerifyWiseTarget
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import LoggedRequest, VerifyWiseServer
from verifywise_mlflow.persistence import database
from verifywise_mlflow.persistence.repositories import delivery_outbox
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.delivery.settings import Delivery
from verifywise_mlflow.tenants.tenant import Tenant

VERSIONS = 2_000
RETAGGED = 20
ANSWER_SECONDS = 0.05
SCHEDULE_SECONDS = 60.0
"""How often the simulated schedule checks whether something is due."""
EMAIL, PASSWORD_VARIABLE = "pipeline@example.com", "BENCHMARK_VERIFYWISE_PASSWORD"
_FIELDS = ("mlflow_badge", "mlflow_failed_rules", "mlflow_policy", "mlflow_judged_at", "mlflow_deployment")
_FILES = "/file-manager"


class SimulatedClock:
    """Seconds since 1970 that pass only while somebody waits."""

    def __init__(self) -> None:
        self.seconds = time.time()

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.fromtimestamp(self.seconds, UTC)


@dataclass(frozen=True, slots=True)
class Figure:
    """The figures of one complete delivery."""

    dialect: str
    round: str
    versions: int
    requests: int
    file_requests: int
    drains: int
    """How often the schedule had to start the delivery again. What the limit on files postpones is due later."""
    refused: int
    """The number of responses 429."""
    records_minutes: float
    """Simulated time until the last entry, risk and custom field."""
    all_minutes: float
    """Simulated time until the last evidence file."""
    requests_per_minute: float
    """The rate while entries, risks and custom fields are delivered."""
    seconds: float
    """Real time of client, store and contract server together."""


def measure(dialect: Dialect, versions: int, show: Callable[[str], object]) -> list[Figure]:
    """Deliver a tenant for the first time, unchanged, and after some changes."""
    clock = SimulatedClock()
    with (
        temporary_postgres(["store"]) as postgres,
        VerifyWiseServer(dialect, clock=clock, sleep=clock.sleep) as server,
    ):
        password = os.environ[PASSWORD_VARIABLE] = secrets.token_hex()
        server.add_user(EMAIL, password)
        if dialect is Dialect.B:  # an Admin defines the custom fields once
            field = {"entity_type": "model_inventory", "options": None, "required": False}
            types = {"mlflow_judged_at": "date"}
            server.add(
                "definition",
                [{**field, "field_key": key, "label": key, "field_type": types.get(key, "text")} for key in _FIELDS],
            )
        tenant = _tenant(server)
        database.upgrade(postgres.url("store"))
        with Store(postgres.url("store")) as store:
            target = _target(tenant, store, clock)
            figures = []
            for title, retagged in (("first", 0), ("nothing changed", 0), (f"{RETAGGED} versions changed", RETAGGED)):
                show(f"dialect {dialect}, {versions:,} versions: {title} …\n")
                _sync(tenant, store, versions, retagged)
                figures.append(_deliver(store, target, server, clock, versions, title))
    return figures


def _tenant(server: VerifyWiseServer) -> Tenant:
    settings = {
        "url": server.uri,
        "auth": {"kind": "login", "email": EMAIL, "password": f"env:{PASSWORD_VARIABLE}"},
        "versions": "all",
        "allow_private_network": True,
    }
    return TENANT.model_copy(update={"delivery": Delivery.model_validate({"verifywise": settings})})


def _target(tenant: Tenant, store: Store, clock: SimulatedClock) -> VerifyWiseTarget:
    settings = tenant.delivery.verifywise
    assert settings is not None
    return VerifyWiseTarget(tenant, settings, store, now=clock.now, clock=clock, sleep=clock.sleep)


def _sync(tenant: Tenant, store: Store, versions: int, retagged: int) -> None:
    reader = SyntheticReader(versions, retagged=retagged)
    with Sync(tenant, store, SyncOptions(), _reader=reader) as sync:
        for stage in Stage:
            if stage is Stage.ARTIFACT_MANIFESTS:
                write_manifests(sync)
            else:
                sync.run(stage)


def _deliver(
    store: Store, target: VerifyWiseTarget, server: VerifyWiseServer, clock: SimulatedClock, versions: int, title: str
) -> Figure:
    """Drain as the schedule does, until nothing is pending."""
    server.requests.clear()
    server.faults.latency_seconds = ANSWER_SECONDS
    began, real_began, drains = clock.seconds, time.perf_counter(), 0
    drain = Drain(store, TENANT.tenant_id, target, now=clock.now)
    while drain.is_due() or _pending(store, target):
        if drain.is_due():
            drains += 1
            report = drain.run(confirmed=True)
            if report.versions["failed"] or report.versions["parked"]:
                raise RuntimeError(f"not delivered: {report.remarks[0]}")
        clock.sleep(SCHEDULE_SECONDS)
    seconds = time.perf_counter() - real_began
    return _figure(server.requests, server.dialect, title, versions, began, drains, seconds)


def _pending(store: Store, target: VerifyWiseTarget) -> int:
    with store.begin(TENANT.tenant_id) as session:
        return delivery_outbox.summary(session, target.name).pending


def _figure(
    requests: Sequence[LoggedRequest],
    dialect: Dialect,
    title: str,
    versions: int,
    began: float,
    drains: int,
    seconds: float,
) -> Figure:
    kinds = Counter(request.path.startswith(_FILES) for request in requests)
    records = [
        request
        for request in requests
        if request.path.startswith(("/modelInventory", "/modelRisks", "/custom-fields")) and request.method != "GET"
    ]
    records_minutes = (records[-1].at - began) / 60 if records else 0.0
    before = sum(request.at <= records[-1].at for request in requests) if records else 0
    return Figure(
        dialect=dialect,
        round=title,
        versions=versions,
        requests=len(requests),
        file_requests=kinds[True],
        drains=drains,
        refused=sum(request.status == 429 for request in requests),
        records_minutes=records_minutes,
        all_minutes=(requests[-1].at - began) / 60 if requests else 0.0,
        requests_per_minute=before / records_minutes if records_minutes else 0.0,
        seconds=seconds,
    )


def table(figures: Sequence[Figure]) -> MarkdownTable:
    """Return a row for each delivery."""
    headings = (
        *("dialect", "delivery", "requests", "of them files", "refused", "requests a minute"),
        *("entries, risks, fields after", "all files after", "real seconds"),
    )
    rows = [
        (
            figure.dialect,
            f"{figure.versions:,} versions, {figure.round}",
            f"{figure.requests:,}",
            f"{figure.file_requests:,}",
            f"{figure.refused}",
            f"{figure.requests_per_minute:.0f}",
            _duration(figure.records_minutes),
            _duration(figure.all_minutes),
            f"{figure.seconds:.1f}",
        )
        for figure in figures
    ]
    return MarkdownTable("delivery", headings, rows, _NOTE)


_NOTE = (
    "VerifyWise's limits: 300 requests a minute (dialect B), and 100 in 15 minutes to the file manager. The delivery "
    "leaves a fifth of each to people."
)


def _duration(minutes: float) -> str:
    return f"{minutes / 60:.1f} h" if minutes >= 100 else f"{minutes:.0f} min"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.delivery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("versions", type=int, nargs="?", default=VERSIONS)
    parser.add_argument("--dialects", nargs="+", choices=[*Dialect], default=[Dialect.A1, Dialect.B])
    arguments = parser.parse_args(argv)
    figures = [
        figure
        for dialect in arguments.dialects
        for figure in measure(Dialect(dialect), arguments.versions, sys.stderr.write)
    ]
    publish(RESULTS / "delivery.json", [table(figures)], [asdict(figure) for figure in figures])
    return 0


if __name__ == "__main__":
    sys.exit(main())
