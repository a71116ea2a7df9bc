"""Files: compares eight plain connections with the stage that lists, reads, hashes and parses files."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import psycopg2
from sqlalchemy import text

from benchmarks import our_files
from benchmarks.distance.file_trees import Layout, file_tree, store_variables
from benchmarks.distance.pairs import DISTURBED_NOTE, Comparison, compare, overview
from benchmarks.latency_proxy import Traffic, distance
from benchmarks.measurement import ContenderFailedError, TimedRead, measure
from benchmarks.scenarios import ReportProgress, open_server
from benchmarks.tables import MarkdownTable
from benchmarks.task import Contender, FileApi, Task
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, temporary_postgres
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.databases import create_migrated_database

STORES: Mapping[FileApi, str] = {
    "mlflow": "MLflow's proxy",
    "s3": "S3 (moto)",
    "gcs": "Cloud Storage (gcp-storage-emulator)",
    "azure": "Azure (Azurite)",
}


@dataclass(frozen=True, slots=True)
class FileFigures:
    """The figures of one layout in one store at one distance."""

    layout: str
    api: FileApi
    round_trip_ms: float
    comparison: Comparison
    traffic: Sequence[Traffic]
    """The traffic of the plain connections and of our stage."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What to measure."""

    layout: Layout
    api: FileApi
    round_trips_ms: Sequence[float]

    def __str__(self) -> str:
        return f"{self.layout.title}, {STORES[self.api]}"


def measure_files(
    workloads: Sequence[Workload], pairs: int, attempts: int, report_progress: ReportProgress
) -> Iterator[FileFigures]:
    """Measure each workload at each of its distances."""
    with (
        tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder,
        open_server(Path(folder), arguments=("--workers", "2")) as server,
        temporary_postgres() as postgres,
    ):
        for workload in workloads:
            report_progress(f"{workload}: writing")
            with (
                file_tree(workload.api, workload.layout, Path(folder), server.uri) as tree,
                distance([tree.port]) as proxy,
            ):
                readers = _Readers(server, postgres, workload.layout.files)
                near, far = Task(server.uri, files=tree.task(None)), Task(proxy.uri(server.uri), files=tree.task(proxy))
                our_files.read_listings(replace(near, database_url=readers.prepared))
                report_progress(f"{workload}: counting requests")
                traffic = []
                for read in (readers.plain, readers.ours):
                    proxy.traffic()
                    read(far)
                    traffic.append(proxy.traffic())
                    _expect(traffic[-1].requests > 0, "read past the proxy")
                for round_trip_ms in workload.round_trips_ms:
                    report_progress(f"{workload}, {round_trip_ms:g} ms")
                    proxy.set(round_trip_ms)
                    task = far if round_trip_ms else near
                    comparison = compare(
                        partial(readers.plain, task), partial(readers.ours, task), pairs=pairs, attempts=attempts
                    )
                    yield FileFigures(workload.layout.title, workload.api, round_trip_ms, comparison, traffic)


class _Readers:
    """The readers of both sides. Each of our readings begins with a copy of a database in which all files are due."""

    def __init__(self, server: MlflowServer, postgres: EmbeddedPostgres, files: int) -> None:
        self._server, self._postgres, self._files = server, postgres, files
        self.prepared = create_migrated_database(postgres)

    def plain(self, task: Task) -> TimedRead:
        """Read with plain connections."""
        read = measure(Contender.PLAIN_FILES, task, self._server.process)
        _expect(read.counts.files == self._files, f"read {read.counts}, not {self._files} files")
        return read

    def ours(self, task: Task) -> TimedRead:
        """Read with our stage."""
        with _copy_of(self._postgres, self.prepared) as url:
            task = replace(task, database_url=url)
            read = measure(Contender.OUR_FILES, task, self._server.process, variables=store_variables())
            hashed_files = _hashed_files(url)
        _expect(hashed_files == self._files, f"hashed {hashed_files}, not {self._files} files")
        return read


@contextmanager
def _copy_of(postgres: EmbeddedPostgres, url: str) -> Iterator[str]:
    """Copy a database and yield the URL of the copy. Drop the copy at the end."""
    name = f"copy_{uuid.uuid4().hex}"
    with closing(psycopg2.connect(postgres.url("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {url.rpartition('/')[2]}")
            yield postgres.url(name)
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _hashed_files(url: str) -> int:
    with Store(url) as store, store.begin("acme") as session:
        return int(session.scalar(text(_HASHED_FILES)) or 0)


_HASHED_FILES = """
    SELECT count(*) FROM verifywise_mlflow.artifact_manifests AS m, json_array_elements(m.manifest -> 'files') AS f
    WHERE f ->> 'sha256' IS NOT NULL
"""


def _expect(holds: bool, problem: str) -> None:
    if not holds:
        raise ContenderFailedError(problem)


def tables(figures: Sequence[FileFigures]) -> list[MarkdownTable]:
    """Return a table with a row for each layout, store and distance, and an overview."""
    cells = {
        (f"{item.layout}, {STORES[item.api]}", item.round_trip_ms): item.comparison.summary(_seconds)
        for item in figures
    }
    rows = []
    for item in figures:
        comparison, (plain, ours) = item.comparison, item.traffic
        rows.append(
            (
                f"{item.layout}, {STORES[item.api]}",
                f"{item.round_trip_ms:g} ms",
                f"{comparison.plain(_seconds):.2f} s",
                f"{comparison.ours(_seconds):.2f} s",
                comparison.ratio(_seconds),
                f"{plain.requests:,}, {ours.requests:,}",
                f"{plain.response_bytes / 1e6:,.1f}, {ours.response_bytes / 1e6:,.1f}",
                f"{comparison.plain(_cpu):.2f}, {comparison.ours(_cpu):.2f} s",
                f"{comparison.ours(lambda read: read.tree_peak_bytes) / 1e6:.0f}",
            )
        )
    is_disturbed = any(pair.is_disturbed for item in figures for pair in item.comparison.pairs)
    return [
        MarkdownTable("files", _HEADINGS, rows, DISTURBED_NOTE if is_disturbed else ""),
        overview("files-overview", "files of", cells),
    ]


_HEADINGS = (
    *("files", "round trip", "eight connections", "ours", "ratio"),
    *("requests of both", "MB read", "CPU of both", "our peak MB, sandboxes included"),
)


def _seconds(read: TimedRead) -> float:
    return read.seconds


def _cpu(read: TimedRead) -> float:
    return read.cpu_seconds


def as_plain_values(figures: Sequence[FileFigures]) -> list[dict[str, object]]:
    """Return the figures for JSON, without the single exchanges."""
    return [
        {
            "layout": item.layout,
            "store": item.api,
            "round_trip_ms": item.round_trip_ms,
            "pairs": [asdict(pair) for pair in item.comparison.pairs],
            "requests": [traffic.requests for traffic in item.traffic],
            "response_bytes": [traffic.response_bytes for traffic in item.traffic],
        }
        for item in figures
    ]
