"""``python -m benchmarks.soak``: half an hour of 50 tenants on real MLflow servers, in a few minutes.

The clock that syncs are told is simulated, a tenant's turn comes every five minutes of it; servers, requests, waiting
and Postgres are real. In each minute people change what is in the servers, through their API; tenants' servers begin
to hang, to fail, to break off, and come back; one server's process is killed and started again. At the end, what we
keep is compared with the servers' own databases: nothing may be lost, nothing doubled, and neither memory nor trail may
have grown by more than what happened.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
import urllib3
from sqlalchemy import text

from verifywise_mlflow.audit.verification import verify
from verifywise_mlflow.connector.errors import ConnectorError
from verifywise_mlflow.connector.settings import Bounds
from verifywise_mlflow.demo.mlflow_server import MlflowServer
from verifywise_mlflow.demo.postgres import temporary_postgres
from verifywise_mlflow.persistence import trail
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.stage import SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.proxy import (
    Exchange,
    Fault,
    Line,
    Proxy,
    proxy_before,
    reset_before_answer,
    reset_within_answer,
    saying,
    truncated,
)
from verifywise_mlflow_tests.seeding import Sizes, model_name, seed

SERVERS, TENANTS_EACH, MINUTES, TURN = 2, 25, 30, 5
CHANGES_A_MINUTE, WORKERS = 12, 4
KILLED_AT, STARTED_AT = 12, 15
"""Minutes, of the last server's process."""
MODELS, VERSIONS = 3, 9
MORE_MEMORY = 20 * 1024**2
"""Bytes by which this process may have grown from the first third on."""

BEGIN = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
BOUNDS = Bounds(connect_seconds=1, probe_seconds=1, request_seconds=1.5, retry_seconds=2, rest_seconds=1)
"""A hanging server costs seconds of our real time, not minutes."""


def hangs(line: Line) -> None:
    """Take the request and say nothing, until long after the client has given up."""
    line.wait(5)
    line.close()


FAULTS: Mapping[str, Fault] = {
    "hangs": hangs,
    "fails": saying(500),
    "refuses": saying(403, '{"error_code": "PERMISSION_DENIED", "message": "no"}'),
    "breaks off": reset_before_answer,
    "breaks off within answers": reset_within_answer,
    "sends half": truncated,
}

Key = tuple[str, str, int]
"""Tenant, model, version."""


@dataclass(slots=True)
class Estate:
    """A server with its tenants, the way to it, and what is wrong with whom."""

    server: MlflowServer
    database: Path
    proxy: Proxy
    tenants: list[str]
    is_up: bool = True
    ill: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Tenants whose server does something, and until which minute."""

    def fault(self, exchange: Exchange) -> Fault | None:
        """Choose what happens to a request: it names its tenant's workspace."""
        if not self.is_up:
            return reset_before_answer
        illness = self.ill.get(exchange.headers.get("x-mlflow-workspace", ""))
        return FAULTS[illness[0]] if illness else None

    def ask(self, method: str, call: str, tenant: str, body: Mapping[str, object]) -> Mapping[str, object]:
        """Do what a person does, past the proxy."""
        url = f"{self.server.uri}/api/2.0/mlflow/{call}"
        answer = urllib3.request(method, url, json=body, headers={"X-MLFLOW-WORKSPACE": tenant}, timeout=60)
        assert answer.status == 200, answer.data
        told: Mapping[str, object] = answer.json()
        return told


@dataclass(slots=True)
class Soak:
    """What goes on, and what was counted."""

    estates: Sequence[Estate]
    url: str
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311  # no secret
    syncs: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    created: set[Key] = field(default_factory=set)
    deleted: set[Key] = field(default_factory=set)
    living: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def fall_ill_and_recover(self, minute: int) -> None:
        """Let one tenant in twelve begin to suffer, for three to eight minutes."""
        for estate in self.estates:
            estate.ill = {who: what for who, what in estate.ill.items() if what[1] > minute}
            for tenant in estate.tenants:
                if tenant not in estate.ill and self.chance.random() < 1 / 12:
                    what = self.chance.choice(list(FAULTS))
                    estate.ill[tenant] = (what, minute + self.chance.randint(3, 8))
                    self.changes[f"a server {what}"] += 1

    def change_something(self) -> None:
        """Do one of the things that people do."""
        estate = self.chance.choice([estate for estate in self.estates if estate.is_up])
        tenant, model = self.chance.choice(estate.tenants), model_name(self.chance.randrange(MODELS))
        numbers = self.living[tenant, model]
        number = self.chance.choice(numbers)
        named = {"name": model, "version": str(number)}
        what = self.chance.choice(["tag", "tag", "description", "alias", "new version", "deletion"])
        value = f"{what} {self.chance.random()}"
        if what == "new version":
            answer = estate.ask("POST", "model-versions/create", tenant, {"name": model, "source": "s3://bucket/new"})
            made = answer["model_version"]
            assert isinstance(made, Mapping)
            numbers.append(int(made["version"]))
            self.created.add((tenant, model, numbers[-1]))
        elif what == "deletion" and len(numbers) > 1:
            estate.ask("DELETE", "model-versions/delete", tenant, named)
            numbers.remove(number)
            self.deleted.add((tenant, model, number))
        elif what == "description":
            estate.ask("PATCH", "model-versions/update", tenant, named | {"description": value})
        elif what == "alias":
            alias = self.chance.choice(["champion", "challenger"])
            estate.ask("POST", "registered-models/alias", tenant, named | {"alias": alias})
        else:
            what = "tag"
            estate.ask("POST", "model-versions/set-tag", tenant, named | {"key": "owner", "value": value})
        self.changes[what] += 1

    def sync(self, estate: Estate, tenant: str, now: datetime, store: Store, options: SyncOptions) -> None:
        """Sync a tenant as it would be synced; a server that cannot be read is no news here."""
        described = Tenant(
            tenant_id=tenant,
            tracking_uri=estate.proxy.uri,
            allow_private_network=True,
            workspace=tenant,
            artifacts=Artifacts(manifests=False),
            bounds=BOUNDS,
        )
        try:
            with Sync(described, store, options, now=lambda: now) as run:
                run.run_all()
        except ConnectorError:
            self.syncs["failed"] += 1
        else:
            changed = any(report.progress.changed or report.progress.removed for report in run.reports)
            self.syncs["found changes" if changed else "found nothing new"] += 1

    def turn(self, minute: int, stores: Sequence[Store], chosen: Callable[[int], bool], options: SyncOptions) -> None:
        """Sync those whose turn it is, as many at a time as there are stores."""
        now = BEGIN + timedelta(minutes=minute)
        due = [
            (estate, tenant) for estate in self.estates for place, tenant in enumerate(estate.tenants) if chosen(place)
        ]
        shares = [due[start :: len(stores)] for start in range(len(stores))]

        def work(store: Store, share: Iterable[tuple[Estate, str]]) -> None:
            for estate, tenant in share:
                self.sync(estate, tenant, now, store, options)

        with ThreadPoolExecutor(len(stores)) as pool:
            for _ in pool.map(work, stores, shares):
                pass


def soak(place: Soak, tell: Callable[[str], None]) -> Iterator[tuple[int, int]]:
    """Live through the half-hour; yield after each minute the memory of this process and the rows in the trails."""
    last = place.estates[-1]
    with ExitStack() as stack:
        stores = [stack.enter_context(Store(place.url)) for _ in range(WORKERS)]
        for minute in range(MINUTES):
            if minute == KILLED_AT:
                last.is_up = False
                last.server.stop()
            elif minute == STARTED_AT:
                last.server.__enter__()
                last.proxy.upstream = last.server.uri
                last.is_up = True
            place.fall_ill_and_recover(minute)
            for _ in range(CHANGES_A_MINUTE):
                place.change_something()
            place.turn(minute, stores, due_in(minute), SyncOptions())
            for estate in place.estates:
                estate.proxy.forget()  # its list of requests would grow, and be taken for our memory
            rss = int(psutil.Process().memory_info().rss)
            entries = int(_count(stores[0], "SELECT count(*) FROM verifywise.audit_trail"))
            ill = sum(len(estate.ill) for estate in place.estates)
            tell(f"minute {minute}: {place.syncs.total()} syncs, {ill} ill, {rss / 1e6:.0f} MB, {entries:,} entries")
            yield rss, entries
        for estate in place.estates:
            estate.ill.clear()
        time.sleep(BOUNDS.rest_seconds)
        before = place.syncs["failed"]
        place.turn(MINUTES + TURN, stores, lambda _: True, SyncOptions(reconcile=True))
        assert place.syncs["failed"] == before, "all servers are well again, and not all tenants could be synced"


def due_in(minute: int) -> Callable[[int], bool]:
    """Return which places have their turn in a minute."""
    return lambda place: place % TURN == minute % TURN


def _count(store: Store, query: str) -> int:
    with store.begin(None) as connection:
        return int(connection.scalar(text(query)) or 0)


# -- what must hold at the end


def in_servers(estates: Sequence[Estate]) -> dict[Key, tuple[str | None, dict[str, str], list[str]]]:
    """Return description, tags and aliases of each living version, from the servers' own databases."""
    found: dict[Key, tuple[str | None, dict[str, str], list[str]]] = {}
    for estate in estates:
        with closing(sqlite3.connect(estate.database)) as connection:
            alive = "SELECT workspace, name, version, description FROM model_versions WHERE current_stage != ?"
            for tenant, name, version, description in connection.execute(alive, ("Deleted_Internal",)):
                if tenant in estate.tenants:
                    found[tenant, name, int(version)] = (description or None, {}, [])
            for tenant, name, version, key, value in connection.execute(
                "SELECT workspace, name, version, key, value FROM model_version_tags"
            ):
                if (tenant, name, int(version)) in found:
                    found[tenant, name, int(version)][1][key] = value
            for tenant, name, version, alias in connection.execute(
                "SELECT workspace, name, version, alias FROM registered_model_aliases ORDER BY alias"
            ):
                if (tenant, name, int(version)) in found:
                    found[tenant, name, int(version)][2].append(alias)
    return found


def in_our_store(store: Store) -> dict[Key, tuple[str | None, dict[str, str], list[str]]]:
    """Return the same from our store."""
    query = text(
        "SELECT tenant_id, model_name, version_number, description, tags, aliases "
        "FROM verifywise.model_versions WHERE gone_at IS NULL"
    )
    with store.begin(None) as connection:
        rows = connection.execute(query).all()
    return {
        (row.tenant_id, row.model_name, row.version_number): (
            row.description or None,
            dict(row.tags),
            sorted(row.aliases),
        )
        for row in rows
    }


def faults(place: Soak, store: Store) -> Iterator[str]:
    """Yield a sentence for each thing that is lost or doubled."""
    theirs, ours = in_servers(place.estates), in_our_store(store)
    if theirs.keys() != ours.keys():
        yield f"versions: {sorted(theirs.keys() ^ ours.keys())[:5]} are in one of the two alone"
    if differing := [key for key in theirs.keys() & ours.keys() if theirs[key] != ours[key]]:
        yield f"{len(differing)} versions differ, such as {differing[0]}: {theirs[differing[0]]}, {ours[differing[0]]}"
    with store.begin(None) as connection:
        records = connection.execute(
            text("SELECT tenant_id, model_name, version_number FROM verifywise.canonical_records WHERE gone_at IS NULL")
        )
        if {tuple(row) for row in records} != set(theirs):
            yield "the living records are not those of the living versions"
        events = Counter(
            ((row.tenant_id, row.model_name, row.version_number), row.kind)
            for row in connection.execute(
                text("SELECT * FROM verifywise.lifecycle_events WHERE version_number IS NOT NULL")
            )
            if row.kind in ("first seen", "disappeared")
        )
        if doubled := [key for key, count in events.items() if count > 1]:
            yield f"told twice: {doubled[:5]}"
        seen, gone = ({key for key, told in events if told == kind} for kind in ("first seen", "disappeared"))
        if lost := set(theirs) - seen:
            yield f"never told of: {sorted(lost)[:5]}"
        if gone != place.deleted & seen:
            yield f"deletions: {sorted(gone ^ (place.deleted & seen))[:5]} were made or told of alone"
        if missed := seen - set(theirs) - place.deleted:
            yield f"seen, but never there: {sorted(missed)[:5]}"
        kinds = Counter(
            {
                row.kind: row.n
                for row in connection.execute(
                    text("SELECT entry::jsonb ->> 'kind' AS kind, count(*) AS n FROM verifywise.audit_trail GROUP BY 1")
                )
            }
        )
        told_events = connection.scalar(text("SELECT count(*) FROM verifywise.lifecycle_events"))
    expected = {"sync started": place.syncs.total(), "sync ended": place.syncs.total(), "lifecycle event": told_events}
    if wrong := {kind: (count, kinds[kind]) for kind, count in expected.items() if kinds[kind] != count}:
        yield f"entries that should be there, and that are: {wrong}"
    for estate in place.estates:
        for tenant in estate.tenants:
            with store.begin(tenant) as connection:
                report = verify(tenant, trail.links(connection, tenant), (), is_expected=True)
            if report.damage:
                yield f"{tenant}: {report.damage.sentence}"


def main() -> int:
    """Soak, compare, print the figures; 1 if anything is lost, doubled or out of bounds."""
    began = time.monotonic()

    def tell(sentence: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:5.0f} s  {sentence}\n")

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="verifywise-soak-")))
        postgres = stack.enter_context(temporary_postgres())
        place = Soak(estates_in(home, stack), postgres.create_database("soak"))
        fill(place)
        tell(f"{SERVERS} servers with {SERVERS * TENANTS_EACH} tenants are up")
        figures = list(soak(place, tell))
        with Store(place.url) as store:
            found = list(faults(place, store))
            versions = len(in_our_store(store))
            size = _count(store, "SELECT pg_database_size(current_database())")
    settled = max(rss for rss, _ in figures[: MINUTES // 3])
    grown = figures[-1][0] - settled
    if grown > MORE_MEMORY:
        found.append(f"this process grew by {grown / 1e6:.0f} MB after the first third")
    say = sys.stdout.write
    say(f"{MINUTES} simulated minutes, {SERVERS * TENANTS_EACH} tenants, {versions} living versions at the end\n")
    say(f"what happened: {', '.join(f'{count} x {what}' for what, count in sorted(place.changes.items()))}\n")
    say(f"syncs: {', '.join(f'{count} {what}' for what, count in sorted(place.syncs.items()))}\n")
    say(f"memory: {settled / 1e6:.0f} MB at most in the first third, {figures[-1][0] / 1e6:.0f} MB at the end\n")
    say(f"entries in the trails: {figures[-1][1]:,}; the database: {size / 1e6:.0f} MB\n")
    say("".join(f"NOT RIGHT: {sentence}\n" for sentence in found) or "nothing lost, nothing doubled\n")
    return 1 if found else 0


def estates_in(home: Path, stack: ExitStack) -> list[Estate]:
    """Start the servers, with a proxy before each."""
    estates = []
    for number in range(SERVERS):
        database = home / f"mlflow-{number}.db"
        server = MlflowServer(
            backend_uri=f"sqlite:///{database}",
            artifacts=home / f"artifacts-{number}",
            log=home / f"mlflow-{number}.log",
            arguments=["--enable-workspaces"],
        )
        stack.enter_context(server)
        proxy = stack.enter_context(proxy_before(server.uri))
        tenants = [f"tenant-{number}-{place:02}" for place in range(TENANTS_EACH)]
        estate = Estate(server, database, proxy, tenants)
        proxy.fault = estate.fault
        estates.append(estate)
    return estates


def fill(place: Soak) -> None:
    """Give each tenant a workspace with models and versions."""
    for estate in place.estates:
        for tenant in estate.tenants:
            url = f"{estate.server.uri}/api/3.0/mlflow/workspaces"
            answer = urllib3.request("POST", url, json={"name": tenant}, timeout=60)
            assert answer.status < 300, answer.data
            seed(estate.database, tenant, Sizes(models=MODELS, versions=VERSIONS, runs=VERSIONS))
            for model in range(MODELS):
                place.living[tenant, model_name(model)] = list(range(1, VERSIONS // MODELS + 1))


if __name__ == "__main__":
    sys.exit(main())
