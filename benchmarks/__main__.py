"""``python -m benchmarks``: runs all benchmarks, or the benchmarks that the command line names, one after the other.

Each benchmark is also a command of its own, with options for its size. ``--list`` shows these commands. Each benchmark
saves its figures in build/bench. ``--print`` prints all saved tables, and ``--paste`` puts them into the documentation.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tables import paste, saved_tables
from benchmarks.task import REPOSITORY

PAGES = (REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md"))


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark."""

    command: str
    """The arguments after ``python -m benchmarks.`` with which ``make bench`` runs the benchmark."""
    minutes: int
    """The duration on two quiet cores."""
    measures: str

    @property
    def name(self) -> str:
        """The words of the command before the options."""
        return " ".join(word for word in self.command.split(" --")[0].split() if not word.isdigit())


BENCHMARKS = (
    Benchmark("distance metadata", 2, "first and unchanged syncs at 0, 30 and 100 ms, against a bare loop"),
    Benchmark("distance files", 4, "hashing files at 0 to 100 ms, against eight plain connections"),
    Benchmark("distance load", 2, "what a slow server with passwords notices of a sync"),
    Benchmark("sizes", 25, "readers of 200, 2,000 and 20,000 versions, MLflow's client among them"),
    Benchmark("connector", 10, "the same readers in rounds, with a password, and with 100,000 runs"),
    Benchmark("hashing", 1, "the sandbox against sha256sum"),
    Benchmark("database_cost", 3, "each stage of a sync in the database (10,000 versions)"),
    Benchmark("compliance", 2, "evaluating all records (10,000)"),
    Benchmark("unchanged_sync_queries", 2, "each query of a sync of an unchanged tenant (20,000 versions)"),
    Benchmark("audit", 4, "verifying a trail of a million entries"),
    Benchmark("states", 25, "the log of states, its verification and proofs (100,000 versions)"),
    Benchmark("overhead", 2, "what Dagster adds to a sync"),
    Benchmark("hostile", 10, "memory and storage under hostile servers"),
    Benchmark("redaction", 1, "scanning for secrets and personal data"),
    Benchmark("capacity", 4, "10,000 tenants by a model and by a simulation"),
    Benchmark("delivery", 3, "delivering 2,000 versions within VerifyWise's rate limits, on a simulated clock"),
    Benchmark("site", 3, "writing the report on 5,000 versions, and opening its pages"),
    Benchmark("polling", 11, "from each kind of change in MLflow to its verdict by polling"),
    Benchmark("polling --costs", 3, "what a poll costs MLflow and us"),
    Benchmark("webhooks", 3, "from a change in MLflow to its verdict by webhooks, and a burst of events"),
    Benchmark("webhooks --launcher celery", 3, "the same with a Celery worker"),
    Benchmark("backfill --tenants 40", 6, "a backfill of all tenants while sensors run"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, list, print or paste."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help='what to run, e.g. compliance or "distance files"; all by default')
    parser.add_argument("--list", action="store_true", help="list the benchmarks")
    parser.add_argument("--print", action="store_true", help="print all saved tables as Markdown")
    parser.add_argument("--paste", action="store_true", help="put them between the markers in README.md and docs/")
    arguments = parser.parse_args(argv)
    chosen = [each for each in BENCHMARKS if not arguments.names or _is_named(each, arguments.names)]
    if not chosen:
        parser.error(f"there is no benchmark of that name: {', '.join(each.name for each in BENCHMARKS)}")
    if arguments.list:
        for each in chosen:
            sys.stdout.write(f"{_shown(each):55} {each.minutes:3} min  {each.measures}\n")
        return 0
    if arguments.print:
        for name, (machine, table) in saved_tables().items():
            sys.stdout.write(f"<!-- table: {name} ({machine}) -->\n\n{table}\n")
        return 0
    if arguments.paste:
        paste_into(PAGES)
        return 0
    exit_codes = [_run(each) for each in chosen]
    return int(any(exit_codes))


def paste_into(pages: Iterable[Path]) -> None:
    """Put the saved tables into the pages, between the markers for these tables."""
    tables = {name: table for name, (_machine, table) in saved_tables().items()}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        pasted = paste(text, tables)
        if pasted != text:
            page.write_text(pasted, encoding="utf-8")


def _is_named(benchmark: Benchmark, names: Sequence[str]) -> bool:
    return benchmark.name in names or benchmark.name.partition(" ")[0] in names


def _shown(benchmark: Benchmark) -> str:
    return f"python -m benchmarks.{benchmark.command}"


def _run(benchmark: Benchmark) -> int:
    """Run a benchmark. A failure does not prevent the next benchmark from running."""
    sys.stdout.write(f"\n$ {_shown(benchmark)}\n")
    sys.stdout.flush()
    return subprocess.run(  # noqa: S603  # our own commands, no shell
        [sys.executable, *shlex.split(_shown(benchmark))[1:]], cwd=REPOSITORY, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
