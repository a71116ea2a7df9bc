"""``python -m benchmarks.states [VERSIONS]``: the cost of the log of states, of its verification, and of a proof.

Generated objects (``synthetic``) are synced through the real stages into a real Postgres, in turn with and without the
log of states. Then nothing changes, one version changes, all records are verified, and one version is proved. At the
end, versions with files are synced from a real MLflow server. Each step runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import ParamSpec, TypeVar
from unittest import mock

from sqlalchemy import text

from benchmarks.competitor import cpu_seconds
from benchmarks.database_cost import postgres_cpu_seconds, write_manifests
from benchmarks.our_sync import tenant_of
from benchmarks.own_process import given_database, run_in_own_process
from benchmarks.peak_memory import PeakMemory
from benchmarks.synthetic import TENANT, SyntheticReader
from benchmarks.tables import RESULTS, MarkdownTable, publish
from benchmarks.task import FileTask, Task
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.state_leaf import Content, State
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.exports.json_documents.proofs import StateProofDocument
from verifywise_mlflow.persistence.repositories import (
    audit_log,
    manifests,
    state_commitments,
    state_log,
    verdict_batch,
)
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow.pipeline import sync as sync_module
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE
from verifywise_mlflow.services.proofs import provable_moment, prove_version
from verifywise_mlflow.services.record_verification.verification import verify_records

P = ParamSpec("P")
R = TypeVar("R")

MAX_SHARE = "2 %"
VERSIONS_WITH_FILES = 300
MAX_COMMIT_MS = 50
MIN_RECORDS_A_SECOND = 5_000


class Step(StrEnum):
    """What is measured, in order."""

    WITHOUT = "first sync without the log"
    FIRST = "first sync"
    UNCHANGED = "nothing changed"
    ONE = "one version retagged"
    VERIFICATION = "audit verify --records"
    PROOF = "audit prove"
    SERVER = "first sync from MLflow, with files"


@dataclass(frozen=True, slots=True)
class Figure:
    """The measured cost of one step."""

    step: str
    versions: int
    seconds: float
    """Elapsed time, without generating objects."""
    cpu_seconds: float
    """CPU time of this process and its children, without generating objects."""
    postgres_cpu_seconds: float
    peak_bytes: int
    append_seconds: float = 0.0
    """Elapsed time in which states were appended to the log."""
    commit_seconds: float = 0.0
    """Elapsed time for the entry that commits the states."""
    log_cpu_seconds: float = 0.0
    """CPU time of this process for appending states and for the entry that commits them."""
    hash_seconds: float = 0.0
    """CPU time of this process for hashing contents. Only the step that reads a server has this figure."""
    records: int = 0
    states: int = 0
    size_bytes: int = 0
    """The size of the log with its index and commitments, or the size of the proof."""


class _Stopwatch:
    """Adds up the time that functions take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0

    def around(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, timed."""

        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            began, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - began
                self.cpu_seconds += time.thread_time() - cpu

        return timed


def run(step: Step, versions: int, url: str, postgres: int) -> Figure:
    """Run one step in this process."""
    memory, postgres_cpu = PeakMemory(), postgres_cpu_seconds(postgres)
    cpu, began = cpu_seconds(), time.perf_counter()
    with Store(url) as store:
        outcome = _STEPS[step](store, versions)
        excluded = outcome.pop("excluded_seconds", 0.0)
        return Figure(
            step,
            versions,
            time.perf_counter() - began - excluded,
            cpu_seconds() - cpu - excluded,
            postgres_cpu_seconds(postgres) - postgres_cpu,
            memory.bytes(),
            **outcome,  # type: ignore[arg-type]  # fields of Figure
        )


def _sync(store: Store, versions: int, *, retagged: int = 0, reads_files: bool = False) -> dict[str, float]:
    reader, append, commit = SyntheticReader(versions, retagged=retagged), _Stopwatch(), _Stopwatch()
    with (
        mock.patch.object(state_log, "append", append.around(state_log.append)),
        mock.patch.object(sync_module, "append_with_states", commit.around(state_commitments.append_with_states)),
        Sync(TENANT, store, _reader=reader) as sync,
    ):
        for stage in Stage:
            if stage is Stage.ARTIFACT_MANIFESTS and reads_files:
                write_manifests(sync)
            else:
                sync.run(stage)
    return {
        "excluded_seconds": reader.seconds,
        "append_seconds": append.seconds,
        "commit_seconds": commit.seconds,
        "log_cpu_seconds": append.cpu_seconds + commit.cpu_seconds,
        "size_bytes": _log_bytes(store),
    }


def _sync_without_log(store: Store, versions: int) -> dict[str, float]:
    with _no_log():
        return _sync(store, versions, reads_files=True)


@contextmanager
def _no_log() -> Iterator[None]:
    """Leave out the work that is only for the log. A record's hash is also its fingerprint, so it is computed."""

    # Functions are used here, since a mock would store each call.
    def append_entry(session: TenantSession, entry: AuditEntry) -> AuditEntry:
        audit_log.append(session, [entry])
        return entry

    def append_nothing(_session: TenantSession, _states: Sequence[State]) -> None:
        pass

    def hash_nothing(_content: Content) -> str:
        return ""

    def hash_no_columns(_columns: Sequence[str]) -> dict[str, str]:
        return {}

    with (
        mock.patch.object(state_log, "append", append_nothing),
        mock.patch.object(sync_module, "append_with_states", append_entry),
        mock.patch.object(verdict_batch, "column_hashes", hash_no_columns),
        mock.patch.object(verdict_batch, "content_hash", hash_nothing),
        mock.patch.object(manifests, "content_hash", hash_nothing),
    ):
        yield


def _sync_from_server(store: Store, versions: int) -> dict[str, float]:
    files = FileTask(**json.loads(os.environ["BENCHMARK_FILES"]))
    append, commit, hashing = _Stopwatch(), _Stopwatch(), _Stopwatch()
    with ExitStack() as stack:
        for module, name, stopwatch in (
            (state_log, "append", append),
            (sync_module, "append_with_states", commit),
            (verdict_batch, "column_hashes", hashing),
            (verdict_batch, "content_hash", hashing),
            (manifests, "content_hash", hashing),
        ):
            stack.enter_context(mock.patch.object(module, name, stopwatch.around(getattr(module, name))))
        sync = stack.enter_context(Sync(tenant_of(Task(files.url, files=files)), store))
        sync.run_all()
    read = {report.stage: report.progress for report in sync.reports}
    assert read[Stage.ARTIFACT_MANIFESTS].changed == read[Stage.CANONICAL_RECORDS].changed == versions, read
    return {
        "append_seconds": append.seconds,
        "commit_seconds": commit.seconds,
        "log_cpu_seconds": append.cpu_seconds + commit.cpu_seconds,
        "hash_seconds": hashing.cpu_seconds,
    }


def _verify(store: Store, _: int) -> dict[str, float]:
    report = verify_records(store, TENANT.tenant_id)
    assert report.is_intact, report.damages[:3]
    return {"records": report.checked.records, "states": report.checked.states}


def _prove(store: Store, _: int) -> dict[str, float]:
    with store.begin_snapshot(TENANT.tenant_id) as session:
        key = session.execute(
            text(
                "SELECT model_name, version_number FROM verifywise_mlflow.canonical_records"
                " WHERE tenant_id = :tenant_id ORDER BY 1, 2 LIMIT 1"
            ),
            {"tenant_id": TENANT.tenant_id},
        ).one()
        proof = prove_version(session, (key.model_name, key.version_number), provable_moment(session))
        return {"size_bytes": len(json.dumps(StateProofDocument.of(proof).to_json(), indent=1))}


_STEPS: Mapping[Step, Callable[[Store, int], dict[str, float]]] = {
    Step.WITHOUT: _sync_without_log,
    Step.FIRST: lambda store, versions: _sync(store, versions, reads_files=True),
    Step.UNCHANGED: _sync,
    Step.ONE: lambda store, versions: _sync(store, versions, retagged=1),
    Step.VERIFICATION: _verify,
    Step.PROOF: _prove,
    Step.SERVER: _sync_from_server,
}


def _log_bytes(store: Store) -> int:
    tables = [f"{SCHEMA}.{name}" for name in ("state_log", "state_commitments", "state_models")]
    with store.begin_shared() as connection:
        sizes = (
            connection.scalar(text("SELECT pg_total_relation_size(CAST(:name AS regclass))"), {"name": name})
            for name in tables
        )
        return sum(map(int, sizes))


def measure(versions: int, rounds: int, folder: Path, show: Callable[[str], object]) -> list[Figure]:
    """Run each step in a separate process: the first syncs once in each round, all other steps after the last round."""
    # Imported here, so that the processes of the steps do not import MLflow and the clients of object stores, which
    # would count as memory.
    from benchmarks.distance.file_trees import file_tree, many_small
    from benchmarks.scenarios import open_server

    (folder / "signing.pem").write_bytes(SigningKey.generate().pem())
    databases = [f"{kind}_{number}" for number in range(rounds) for kind in ("without", "with")]
    steps = [Step.WITHOUT, Step.FIRST] * rounds
    later = [step for step in Step if step not in (*steps, Step.SERVER)]
    key = {SIGNING_KEY_VARIABLE: f"file:{folder / 'signing.pem'}"}
    with temporary_postgres([*databases, "server"]) as postgres:

        def figure(step: Step, database: str, versions: int, variables: Mapping[str, str]) -> Figure:
            show(f"{versions:,} versions: {step} …\n")
            arguments, all_variables = ("--step", step, str(versions)), {**key, **variables}
            output = run_in_own_process(
                "states", *arguments, postgres=postgres, database=database, variables=all_variables
            )
            return Figure(**json.loads(output))

        in_order = [*zip(steps, databases, strict=True), *((step, databases[-1]) for step in later)]
        figures = [figure(step, database, versions, {}) for step, database in in_order]
        with (
            open_server(folder, arguments=("--workers", "2")) as server,
            file_tree("mlflow", many_small(VERSIONS_WITH_FILES), folder, server.uri) as tree,
        ):
            files = {"BENCHMARK_FILES": json.dumps(asdict(tree.task(None)))}
            return [*figures, figure(Step.SERVER, "server", VERSIONS_WITH_FILES, files)]


def tables(figures: Sequence[Figure]) -> list[MarkdownTable]:
    """Return the median of each step, and the figures that have a target."""
    of_step = {step: _median([figure for figure in figures if figure.step == step]) for step in Step}
    first, without, verification = of_step[Step.FIRST], of_step[Step.WITHOUT], of_step[Step.VERIFICATION]
    server = of_step[Step.SERVER]
    of_log = server.append_seconds + server.commit_seconds + server.hash_seconds
    rows = [
        (
            figure.step,
            f"{figure.seconds:.2f}",
            f"{figure.cpu_seconds:.2f}",
            f"{figure.postgres_cpu_seconds:.2f}",
            f"{1_000 * figure.append_seconds:,.0f}",
            f"{1_000 * figure.commit_seconds:,.1f}",
            f"{figure.peak_bytes / 1e6:.0f}",
        )
        for figure in of_step.values()
    ]
    headings = ("step", "seconds", "our CPU s", "Postgres CPU s", "append ms", "commit ms", "peak MB")
    more_cpu = first.cpu_seconds - without.cpu_seconds
    more_postgres = first.postgres_cpu_seconds - without.postgres_cpu_seconds
    summary = [
        ("versions", f"{first.versions:,}", ""),
        (
            f"the log's share of a first sync from an MLflow server, {server.versions} versions with files",
            f"{of_log / server.seconds:.1%}",
            MAX_SHARE,
        ),
        (
            "its share of our CPU time in that sync",
            f"{(server.log_cpu_seconds + server.hash_seconds) / server.cpu_seconds:.1%}",
            MAX_SHARE,
        ),
        ("CPU for the log, for each generated version", f"{1e6 * more_cpu / first.versions:,.0f} µs", ""),
        ("its share of our CPU time, if nothing is read", f"{more_cpu / without.cpu_seconds:.1%}", ""),
        ("the log's share of Postgres's CPU time", f"{more_postgres / without.postgres_cpu_seconds:.1%}", ""),
        ("commit of a sync that changes nothing", _ms(of_step[Step.UNCHANGED]), f"{MAX_COMMIT_MS} ms"),
        ("commit of a sync that changes one version", _ms(of_step[Step.ONE]), ""),
        (
            "records verified a second",
            f"{verification.records / verification.seconds:,.0f}",
            f"{MIN_RECORDS_A_SECOND:,}",
        ),
        ("states verified a second", f"{verification.states / verification.seconds:,.0f}", ""),
        ("peak memory of the verification", f"{verification.peak_bytes / 1e6:.0f} MB", "flat"),
        ("log and commitments with their indexes, for each version", f"{first.size_bytes / first.versions:,.0f} B", ""),
        ("to prove one version", f"{of_step[Step.PROOF].seconds:.2f} s", ""),
        ("the proof", f"{of_step[Step.PROOF].size_bytes / 1e3:.0f} KB", ""),
    ]
    return [
        MarkdownTable("states", headings, rows, _NOTE),
        MarkdownTable("states-summary", ("figure", "measured", "target"), summary),
    ]


def _median(figures: Sequence[Figure]) -> Figure:
    medians = {
        item.name: median(getattr(figure, item.name) for figure in figures)
        for item in fields(Figure)
        if item.name not in ("step", "versions")
    }
    return replace(figures[0], **medians)


def _ms(figure: Figure) -> str:
    return f"{1_000 * figure.commit_seconds:.1f} ms"


_NOTE = (
    "The time for generating the objects, which replaces the server, is left out. No step but the last reads files. A "
    "first sync without the log neither hashes verdicts and manifests for it nor appends or commits. The share in the "
    "last step is the time within these functions, Postgres's part included."
)


def main() -> int:
    """Measure, print and save the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.states", description=__doc__)
    parser.add_argument("versions", nargs="?", type=int, default=100_000, help="how many versions (100,000)")
    parser.add_argument("--rounds", type=int, default=1, help="how often the first syncs are measured (1)")
    parser.add_argument("--json", type=Path, default=RESULTS / "states.json", help="where the figures go")
    parser.add_argument("--step", type=Step, help=argparse.SUPPRESS)  # the arguments of the steps' processes
    arguments = parser.parse_args()
    if arguments.step:
        sys.stdout.write(json.dumps(asdict(run(arguments.step, arguments.versions, *given_database()))))
        return 0
    with tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder:
        figures = measure(arguments.versions, arguments.rounds, Path(folder), sys.stderr.write)
    publish(arguments.json, tables(figures), list(map(asdict, figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
