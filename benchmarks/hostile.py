"""``python -m benchmarks.hostile``: the costs of a hostile server: peak memory, stored bytes and seconds.

Each attack is made on two real syncs and on a tick of the sensor that reads listings. Dagster runs each in a separate
process, with a real Postgres. The first sync may store what the server sends. What the second sync adds must not depend
on the server: the server's registry has not changed, unless changing it is the attack.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

from benchmarks.competitor import peak_bytes
from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.demo.servers.process import child_environment
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)

MEGABYTE = 1_000_000
MAX_PEAK_BYTES = 400 * MEGABYTE
_EMOJI = "\U0001f600"
"""A character for names. One such character makes Python store each character of a text in four bytes."""

Page = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Attack:
    """What a server returns for the two searches of a registry."""

    models: Callable[[int, int], Page]
    """Takes the number of rows requested, and how often the search has been made."""
    versions: Callable[[int, int], Page] = lambda _rows, _count: {}


def _rows(key: str, row: object, count: int) -> Callable[[int, int], Page]:
    return lambda _rows, _count: {key: [row] * count}


def _endless(key: str, make_row: Callable[[str], object]) -> Callable[[int, int], Page]:
    """Return a source of full pages of rows with new names. Each page has a new token."""

    def page(rows: int, count: int) -> Page:
        names = (f"{count:06}-{index:06}" for index in range(rows))
        return {key: [make_row(name) for name in names], "next_page_token": f"page {count}"}

    return page


def _pages(key: str, pages: int, make_rows: Callable[[int], list[object]]) -> Callable[[int, int], Page]:
    """Return a source of pages that end. The tokens are not offsets, so the listing is read twice."""

    def page(_rows: int, count: int) -> Page:
        index = (count - 1) % pages
        token = {"next_page_token": f"page {index}"} if index < pages - 1 else {}
        return {key: make_rows(index), **token}

    return page


def _version(name: str, **fields: object) -> Page:
    return {"name": name, "version": "1", **fields}


_MODEL: Page = {"registered_models": [{"name": "churn"}]}
ATTACKS: dict[str, Attack] = {
    "an empty registry, for comparison": Attack(lambda _rows, _count: {}),
    "1,000,000 malformed models in 3 KB": Attack(_rows("registered_models", {}, 1_000_000)),
    "10,000,000 malformed models in 30 KB": Attack(_rows("registered_models", {}, 10_000_000)),
    "20,000 malformed versions": Attack(lambda *_: _MODEL, _rows("model_versions", {"name": "churn"}, 20_000)),
    "a source of 15 MB": Attack(
        lambda *_: _MODEL, lambda *_: {"model_versions": [_version("churn", source="s3://" + "s" * 15 * MEGABYTE)]}
    ),
    "a description of 4 MB that changes": Attack(
        lambda *_: _MODEL,
        lambda _rows, count: {"model_versions": [_version("churn", description=f"{count}" + "d" * 4 * MEGABYTE)]},
    ),
    "a description of 100,000 characters that changes": Attack(
        lambda *_: _MODEL,
        lambda _rows, count: {"model_versions": [_version("churn", description=f"{count:06}" + "d" * 99_000)]},
    ),
    "10,000 aliases that move": Attack(
        lambda _rows, count: {
            "registered_models": [
                {"name": "churn", "aliases": [{"alias": f"a{n}", "version": str(count + 1)} for n in range(10_000)]}
            ]
        },
        lambda *_: {"model_versions": [_version("churn")]},
    ),
    "160,000 tags of one model": Attack(
        lambda *_: {"registered_models": [{"name": "churn", "tags": [{"key": f"{n}"} for n in range(160_000)]}]}
    ),
    "16 MB of wide texts": Attack(
        lambda *_: _MODEL,
        lambda *_: {"model_versions": [_version(f"m{n}", description=_EMOJI + "d" * 99_000) for n in range(160)]},
    ),
    "small rows without end": Attack(
        lambda *_: _MODEL, _endless("model_versions", lambda name: {"name": name, "version": "1"})
    ),
    "large rows without end": Attack(
        lambda *_: _MODEL,
        _endless("model_versions", lambda name: _version(name, description=_EMOJI + "d" * 9_000, source=name * 900)),
    ),
    "120 MB of versions": Attack(
        lambda *_: _MODEL,
        _pages(
            "model_versions",
            8,
            lambda index: [_version(f"m{index}-{n}", description="d" * 99_000) for n in range(150)],
        ),
    ),
    "models nested 100,000 deep": Attack(
        lambda *_: {"registered_models": "NESTED"},
    ),
}


@contextmanager
def attacking_server(attack: Attack) -> Iterator[HostileServer]:
    """Serve an attack, compressed as a hostile server would."""
    counts: dict[str, int] = {}

    def respond(_server: HostileServer, request: ReceivedRequest) -> bytes:
        parts = urlsplit(request.target)
        query = parse_qs(parts.query)
        searches = {"registered-models/search": attack.models, "model-versions/search": attack.versions}
        search = next((found for name, found in searches.items() if parts.path.endswith(name)), None)
        if search is None:
            return json_response({"error_code": "ENDPOINT_NOT_FOUND"}, 404)
        if "filter" in query:  # the search for prompts
            return json_response({})
        counts[parts.path] = counts.get(parts.path, 0) + 1
        body = json.dumps(search(int(query["max_results"][0]), counts[parts.path]), ensure_ascii=False)
        nested = body.replace('"NESTED"', "[" * 100_000 + "]" * 100_000)
        return make_response(gzip.compress(nested.encode(), 1), headers={"Content-Encoding": "gzip"})

    with hostile_server(respond) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one run or one tick."""

    peak_bytes: int
    seconds: float
    trail_bytes: int = 0
    """Bytes that were added to the audit trail."""
    table_bytes: int = 0
    """Bytes that were added to all other tables and their indexes."""
    event_bytes: int = 0
    """Bytes that were added to Dagster's event log."""
    outcome: str = ""


def run_child(mode: str, database_url: str) -> Cost:
    """Sync, or evaluate the sensor, in this process."""
    import dagster as dg
    from dagster_shared.serdes import serialize_value

    from verifywise_mlflow.definitions import defs
    from verifywise_mlflow.defs.sensors.registry_sensors import changed_listings

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        before, began = _stored_bytes(database_url), time.monotonic()
        if mode == "tick":
            result = changed_listings(dg.build_sensor_context(instance=instance, definitions=defs))
            outcome = str(getattr(result, "skip_reason", "") or "a sync is requested")
            events = ""
        else:
            job = defs.resolve_job_def("sync_tenant")
            run = job.execute_in_process(instance=instance, partition_key="acme", raise_on_error=False)
            outcome = "success" if run.success else "failure"
            events = "".join(serialize_value(entry) for entry in instance.all_logs(run.run_id))
        seconds, after = time.monotonic() - began, _stored_bytes(database_url)
    trail, tables = (later - earlier for earlier, later in zip(before, after, strict=True))
    return Cost(peak_bytes(), seconds, trail, tables, len(events), outcome)


def _stored_bytes(database_url: str) -> tuple[int, int]:
    from sqlalchemy import text

    from verifywise_mlflow.persistence.store import Store

    with Store(database_url) as store, store.begin_shared() as connection:
        trail = connection.scalar(text("SELECT coalesce(sum(length(entry)), 0) FROM verifywise_mlflow.audit_trail"))
        tables = connection.scalar(
            text(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = 'verifywise_mlflow'::regnamespace AND relname <> 'audit_trail'"
            )
        )
    return int(trail or 0), int(tables or 0)


def measure(attack: Attack, database_url: str, modes: list[str], *, memory_limit: int | None = None) -> list[Cost]:
    """Run the syncs and the tick of an attack, each in a separate process.

    Args:
        attack: The attack, which determines what the server returns.
        database_url: An empty database.
        modes: ``sync`` or ``tick``, in order.
        memory_limit: The maximum address space of each process, in bytes; None for no limit.
    """
    costs = []
    with TemporaryDirectory(prefix="verifywise-hostile-") as home, attacking_server(attack) as server:
        tenants = Path(home) / "tenants.yaml"
        tenants.write_text(f"tenants: {{acme: {{tracking_uri: '{server.uri}', allow_private_network: true}}}}\n")
        for mode in modes:
            process = subprocess.run(  # noqa: S603  # our own command, no shell
                [sys.executable, "-m", "benchmarks.hostile", "--child", mode],
                env=child_environment(
                    VERIFYWISE_TENANTS=str(tenants), VERIFYWISE_DATABASE_URL=database_url, DAGSTER_HOME=home
                ),
                cwd=Path(__file__).parents[1],
                capture_output=True,
                text=True,
                check=False,
                preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit)))
                if memory_limit
                else None,
            )
            if process.returncode:
                raise RuntimeError(f"{mode} ended with {process.returncode}: {process.stderr[-2_000:]}")
            costs.append(Cost(**json.loads(process.stdout.splitlines()[-1])))
    return costs


def main() -> int:
    """Measure the attacks whose names contain the argument; print a table. Return 1 if one costs too much memory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("name", nargs="?", default="", help="part of the names of the attacks; all by default")
    parser.add_argument("--json", type=Path, default=RESULTS / "hostile.json", help="where the figures go")
    parser.add_argument("--child", choices=("sync", "tick"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        cost = run_child(arguments.child, os.environ["VERIFYWISE_DATABASE_URL"])
        sys.stdout.write(json.dumps(asdict(cost)) + "\n")
        return 0

    worst = 0
    rows, figures = [], []
    with temporary_postgres() as postgres:
        for number, (name, attack) in enumerate(ATTACKS.items()):
            if arguments.name not in name:
                continue
            modes = ["sync", "sync", "tick"]
            sys.stderr.write(f"{name}\n")
            costs = measure(attack, postgres.create_database(f"attack_{number}"), modes)
            for mode, cost in zip(modes, costs, strict=True):
                worst = max(worst, cost.peak_bytes)
                kept = (cost.trail_bytes, cost.table_bytes, cost.event_bytes)
                rows.append(
                    (
                        name,
                        mode,
                        f"{cost.peak_bytes / MEGABYTE:.0f}",
                        f"{cost.seconds:.1f}",
                        *(f"{size / 1_000:.1f}" for size in kept),
                        cost.outcome[:60],
                    )
                )
                figures.append({"attack": name, "mode": mode, **asdict(cost)})
    headings = ("attack", "run", "peak MB", "seconds", "trail KB", "tables KB", "events KB", "outcome")
    publish(arguments.json, [MarkdownTable("hostile", headings, rows)], figures)
    return int(worst > MAX_PEAK_BYTES)


if __name__ == "__main__":
    sys.exit(main())
