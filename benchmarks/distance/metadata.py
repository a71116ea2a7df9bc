"""Metadata: compares a bare loop, our first sync and our sync without changes. Each runs in a separate process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.distance.pairs import DISTURBED_NOTE, Comparison, compare, overview
from benchmarks.latency_proxy import Traffic, distance
from benchmarks.measurement import TimedRead, measure
from benchmarks.registry import fill
from benchmarks.scenarios import ReportProgress, check_counts, open_server
from benchmarks.sizes import sizes_of
from benchmarks.tables import MarkdownTable, median_of
from benchmarks.task import Contender, Task
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow_tests.support.databases import create_migrated_database


@dataclass(frozen=True, slots=True)
class MetadataFigures:
    """The figures of one size at one distance."""

    versions: int
    round_trip_ms: float
    first_sync: Comparison
    """Our first sync, compared with a bare loop."""
    unchanged: Sequence[TimedRead]
    traffic: Sequence[Traffic]
    """The traffic of a bare loop, a first sync and a sync without changes."""


def measure_metadata(
    versions: int, round_trips_ms: Sequence[float], pairs: int, attempts: int, report_progress: ReportProgress
) -> Iterator[MetadataFigures]:
    """Measure a registry of one size at each distance."""
    sizes = sizes_of(versions)
    with (
        tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder,
        open_server(Path(folder), arguments=("--workers", "2")) as server,
        temporary_postgres() as postgres,
        distance([server.port]) as proxy,
    ):
        report_progress(f"writing {sizes}")
        fill(Path(folder) / "mlflow.db", sizes)
        last_database = ""

        def run(contender: Contender, task: Task) -> TimedRead:
            read = measure(contender, task, server.process)
            check_counts(contender, read, sizes)
            return read

        report_progress(f"{versions:,} versions: counting requests")
        counted = Task(proxy.uri(server.uri), database_url=create_migrated_database(postgres))
        traffic = []
        for contender in (Contender.BARE_REST, Contender.FIRST_SYNC, Contender.UNCHANGED_SYNC):
            proxy.traffic()
            run(contender, counted)
            traffic.append(proxy.traffic())
        for round_trip_ms in round_trips_ms:
            report_progress(f"{versions:,} versions at {round_trip_ms:g} ms")
            proxy.set(round_trip_ms)
            task = Task(proxy.uri(server.uri) if round_trip_ms else server.uri)

            def first_sync(task: Task = task) -> TimedRead:
                nonlocal last_database
                last_database = create_migrated_database(postgres)
                return run(Contender.FIRST_SYNC, replace(task, database_url=last_database))

            first = compare(
                lambda task=task: run(Contender.BARE_REST, task),  # type: ignore[misc]  # the default binds it
                first_sync,
                pairs=pairs,
                attempts=attempts,
            )
            synced = replace(task, database_url=last_database)
            unchanged = [run(Contender.UNCHANGED_SYNC, synced) for _ in range(pairs)]
            yield MetadataFigures(versions, round_trip_ms, first, unchanged, traffic)


def tables(figures: Sequence[MetadataFigures]) -> list[MarkdownTable]:
    """Return a table with a row for each size and distance, and an overview."""
    cells = {(f"{item.versions:,} versions", item.round_trip_ms): item.first_sync.summary(_wall) for item in figures}
    rows = []
    for item in figures:
        _, first, unchanged = item.traffic
        bare = item.traffic[0]
        rows.append(
            (
                f"{item.versions:,}",
                f"{item.round_trip_ms:g} ms",
                f"{item.first_sync.plain(_wall):.1f} s",
                f"{item.first_sync.ours(_wall):.1f} s",
                item.first_sync.ratio(_wall),
                f"{median_of(item.unchanged, _wall):.2f} s",
                f"{bare.requests}, {first.requests}, {unchanged.requests}",
                ", ".join(f"{each.response_bytes / 1e6:.1f}" for each in (bare, first, unchanged)),
                f"{item.first_sync.ours(lambda read: read.process_cpu_seconds):.1f} s",
                f"{item.first_sync.ours(lambda read: read.tree_peak_bytes) / 1e6:.0f}",
            )
        )
    is_disturbed = any(pair.is_disturbed for item in figures for pair in item.first_sync.pairs)
    return [
        MarkdownTable("metadata", _HEADINGS, rows, DISTURBED_NOTE if is_disturbed else ""),
        overview("metadata-overview", "metadata of", cells),
    ]


_HEADINGS = (
    *("versions", "round trip", "bare loop", "first sync", "ratio", "nothing changed"),
    *("requests of the three", "MB read", "our CPU", "peak MB"),
)


def _wall(read: TimedRead) -> float:
    return read.wall_seconds


def as_plain_values(figures: Sequence[MetadataFigures]) -> list[dict[str, object]]:
    """Return the figures for JSON, without the single exchanges."""
    return [
        {
            "versions": item.versions,
            "round_trip_ms": item.round_trip_ms,
            "pairs": [asdict(pair) for pair in item.first_sync.pairs],
            "unchanged": [asdict(read) for read in item.unchanged],
            "requests": [traffic.requests for traffic in item.traffic],
            "response_bytes": [traffic.response_bytes for traffic in item.traffic],
        }
        for item in figures
    ]
