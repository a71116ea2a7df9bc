"""``python -m benchmarks.compliance``: the cost of evaluating all records of a tenant offline, in a real Postgres.

Each round runs in a separate process. The rounds are: the first evaluation; the same policy with other words (only the
policy of the last evaluation is written); one rule of 25 changed; nothing due; the next day, on which one rule depends;
all rules changed, which moves every former verdict to the history; and the default policy, which ends all other
verdicts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import text

from benchmarks.competitor import cpu_seconds
from benchmarks.compliance_policy import policy
from benchmarks.database_cost import postgres_cpu_seconds
from benchmarks.own_process import given_database, run_in_own_process
from benchmarks.peak_memory import PeakMemory
from benchmarks.synthetic import TENANT, SyntheticReader, manifest
from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.compliance.rules.policy import Policy, default_policy
from verifywise_mlflow.compliance.rules.ruleset import merge_policies
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.http.sync_deadline import SyncDeadline
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.normalize import normalize
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import records
from verifywise_mlflow.persistence.repositories.records import BuiltRecord, PendingRecord
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import StageContext, SyncOptions
from verifywise_mlflow.pipeline.history_budget import HistoryBudget
from verifywise_mlflow.pipeline.stages.compliance_results import evaluate_due
from verifywise_mlflow.pipeline.sync import Sync

NORMALIZED_RECORDS = 1_000
"""The number of records that the normalizer builds. The database copies them with different texts."""
_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Round(StrEnum):
    """The rounds, in order."""

    FIRST = "first evaluation"
    REWORDED = "policy reworded"
    ONE_RULE = "one rule of 25 changed"
    NOTHING = "nothing due"
    NEXT_DAY = "the next day"
    ALL_RULES = "all 25 rules changed"
    DEFAULT = "default policy instead"

    @property
    def policy(self) -> Policy:
        """The policy to evaluate."""
        match self:
            case Round.FIRST:
                return policy()
            case Round.REWORDED:
                return policy().model_copy(update={"title": "In other words"})
            case Round.ONE_RULE | Round.NOTHING | Round.NEXT_DAY:
                return policy(version=2, changed=1)
            case Round.ALL_RULES:
                return policy(version=3, changed=25)
            case Round.DEFAULT:
                return default_policy()

    @property
    def at(self) -> datetime:
        """The time of the evaluation."""
        has_night_passed = self in (Round.NEXT_DAY, Round.ALL_RULES, Round.DEFAULT)
        return _NOW + timedelta(days=has_night_passed, minutes=1 + list(Round).index(self))


@dataclass(frozen=True, slots=True)
class Figure:
    """The measured cost of one round."""

    records: int
    round: str
    evaluated: int
    written: int
    """The number of verdicts whose state began in this round."""
    seconds: float
    cpu_seconds: float
    postgres_cpu_seconds: float
    memory_before: int
    """Peak memory of the process in bytes before the first record, imports included."""
    peak_bytes: int


def fill(store: Store, count: int) -> None:
    """Write records, each with a different owner, commit and model."""
    reader, mapping = SyntheticReader(min(NORMALIZED_RECORDS, count)), default_mapping()
    models = {model.name: model for model in reader.registered_models().read().rows}
    versions = reader.model_versions().read().rows
    runs = {run.run_id: run for run in reader.runs([version.run_id or "" for version in versions], ["1"]).rows}
    built_records = []
    for number, version in enumerate(versions):
        inputs = RecordInputs(
            version=version,
            model=models[version.model_name],
            run=runs[version.run_id or ""],
            experiment_name="credit-risk",
            manifest=manifest(number),
        )
        pending = PendingRecord(
            (version.model_name, version.version_number),
            {"deleted_at": None},
            None,
            None,
            {"version_revision": 1, "mapping_digest": "m"},
        )
        built_records.append(BuiltRecord.of(pending, normalize(inputs, mapping)))
    with store.begin(TENANT.tenant_id) as session:
        records.write_records(session, built_records, "", _NOW)
        columns = [row[0] for row in session.execute(text(_COLUMNS))]
        own = {
            "model_name": "'copy-' || lpad(n::text, 4, '0') || '-' || model_name",
            "owner": "owner || ' ' || n",
            "description": "description || ' ' || n",
            "code_commit": "md5(model_name || version_number || n)",
            "revision": "nextval('verifywise_mlflow.revisions')",
        }
        values = ", ".join(own.get(name, name) for name in columns)
        copy = f"""
            INSERT INTO verifywise_mlflow.canonical_records ({", ".join(columns)})
            SELECT {values} FROM verifywise_mlflow.canonical_records, generate_series(1, :copies) AS n
        """  # noqa: S608  # only names of our own columns
        session.execute(text(copy), {"copies": max(0, count // NORMALIZED_RECORDS - 1)})
    with store.begin_shared() as connection:
        connection.execute(text("ANALYZE"))


_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'verifywise_mlflow.canonical_records'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


def run(round_: Round, count: int, url: str, postgres: int) -> Figure:
    """Evaluate all records in this process."""
    now = round_.at
    rules = merge_policies([round_.policy])
    with Store(url) as store:
        sync = Sync(TENANT, store, now=lambda: now, sync_id=round_)
        context = StageContext(
            stage=Stage.COMPLIANCE_RESULTS,
            deadline=SyncDeadline(3_600),
            history=HistoryBudget(2**62, _NOW.date(), 0),
            tenant=TENANT,
            store=store,
            sync_id=round_,
            reader=sync.reader,
            now=now,
            options=SyncOptions(),
            last_reconciled_at=None,
            report_progress=lambda *_: None,
            make_entry=sync.make_entry,
        )
        memory = PeakMemory()
        before, cpu, postgres_cpu = memory.bytes(), cpu_seconds(), postgres_cpu_seconds(postgres)
        began = time.perf_counter()
        progress = evaluate_due(context, rules)
        seconds = time.perf_counter() - began
        cpu_times = (cpu_seconds() - cpu, postgres_cpu_seconds(postgres) - postgres_cpu)
        with store.begin(TENANT.tenant_id) as session:
            written_verdicts = session.scalar(
                text("SELECT count(*) FROM verifywise_mlflow.compliance_results WHERE sync_id = :sync_id"),
                {"sync_id": round_.value},
            )
    return Figure(count, round_, progress.read, int(written_verdicts or 0), seconds, *cpu_times, before, memory.bytes())


def measure(count: int, show: Callable[[str], object]) -> list[Figure]:
    """Fill a database and evaluate its records in each round."""
    figures = []
    with temporary_postgres(["compliance"]) as postgres:
        url = postgres.url("compliance")
        with Store(url) as store:
            show(f"{count:,} records are written …\n")
            fill(store, count)
        for round_ in Round:
            show(f"{round_} …\n")
            output = run_in_own_process(
                "compliance", "--round", round_, str(count), postgres=postgres, database="compliance"
            )
            figures.append(Figure(**json.loads(output)))
        with Store(url) as store, store.begin_shared() as connection:
            size = int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
        show(f"{size / 1e6:,.0f} MB in the database at the end\n")
    return figures


def table(figures: list[Figure]) -> MarkdownTable:
    """Return a row for each round."""
    headings = ("records", "round", "evaluated", "written", "seconds", "ms per record", "our CPU s", "Postgres CPU s")
    rows = [
        (
            f"{figure.records:,}",
            figure.round,
            f"{figure.evaluated:,}",
            f"{figure.written:,}",
            f"{figure.seconds:.1f}",
            f"{1000 * figure.seconds / figure.evaluated:.2f}" if figure.evaluated else "",
            f"{figure.cpu_seconds:.1f}",
            f"{figure.postgres_cpu_seconds:.1f}",
            f"{figure.memory_before / 1e6:.0f}",
            f"{figure.peak_bytes / 1e6:.0f}",
        )
        for figure in figures
    ]
    return MarkdownTable("evaluation", (*headings, "MB before", "peak MB"), rows)


def main() -> int:
    """Measure, print a table and save the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compliance", description=__doc__)
    parser.add_argument("records", nargs="*", type=int, default=[10_000], help="how many records, in thousands full")
    parser.add_argument("--json", type=Path, default=RESULTS / "compliance.json", help="where the figures go")
    parser.add_argument("--round", type=Round, help=argparse.SUPPRESS)  # the arguments of the rounds' processes
    arguments = parser.parse_args()
    if arguments.round:
        figure = run(arguments.round, arguments.records[0], *given_database())
        sys.stdout.write(json.dumps(asdict(figure)))
        return 0
    figures = [figure for count in arguments.records for figure in measure(count, sys.stderr.write)]
    publish(arguments.json, [table(figures)], list(map(asdict, figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
