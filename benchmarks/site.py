"""``python -m benchmarks.site``: writes the governance report on a tenant of 5,000 versions.

The records, verdicts, files and events of generated objects (``synthetic``) are in a real Postgres. A separate process
writes the report, as the command does. If Chromium is installed on this machine, it then opens the largest page of each
kind as a file. The measured time ends when the page has been loaded and laid out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.competitor import cpu_seconds
from benchmarks.database_cost import postgres_cpu_seconds, write_manifests
from benchmarks.own_process import given_database, run_in_own_process
from benchmarks.peak_memory import PeakMemory
from benchmarks.synthetic import TENANT, SyntheticReader
from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.documents.report.site import write_site
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync

_ROUNDS: Final = 3
"""The number of times that Chromium opens a page; the median counts."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The measured cost of one report."""

    versions: int
    pages: int
    seconds: float
    cpu_seconds: float
    """The CPU time of this process and of the process that it forks."""
    postgres_cpu_seconds: float
    peak_bytes: int
    site_bytes: int
    largest_pages: Mapping[str, int] = field(default_factory=dict)
    """Path of the largest page of each folder to its size in bytes."""
    opened_seconds: Mapping[str, float] = field(default_factory=dict)
    """The same paths to the time that Chromium takes to open the page; empty without Chromium."""


def fill(url: str, versions: int) -> None:
    """Sync generated objects."""
    with Store(url) as store, Sync(TENANT, store, _reader=SyntheticReader(versions)) as sync:
        for stage in Stage:
            if stage is Stage.ARTIFACT_MANIFESTS:
                write_manifests(sync)
            else:
                sync.run(stage)


def write(url: str, folder: Path, postgres: int) -> Figures:
    """Write the report in this process."""
    memory, postgres_cpu = PeakMemory(), postgres_cpu_seconds(postgres)
    cpu, began = cpu_seconds(), time.perf_counter()
    summary = write_site(partial(Store, url), [TENANT.tenant_id], folder, datetime.now(UTC))
    seconds = time.perf_counter() - began
    files = [(path, path.stat().st_size) for path in folder.rglob("*") if path.is_file()]
    largest: dict[Path, tuple[Path, int]] = {}
    for path, size in files:
        kind = path.parent if path.parent.parent.name != "versions" else path.parent.parent
        if path.suffix == ".html" and size > largest.get(kind, (path, 0))[1]:
            largest[kind] = (path, size)
    return Figures(
        summary.versions,
        summary.pages,
        seconds,
        cpu_seconds() - cpu,
        postgres_cpu_seconds(postgres) - postgres_cpu,
        memory.bytes(),
        sum(size for _, size in files),
        {path.relative_to(folder).as_posix(): size for path, size in largest.values()},
    )


def opened_seconds(folder: Path, pages: Mapping[str, int]) -> Mapping[str, float]:
    """Return the time that Chromium takes to open each page; empty without Chromium."""
    browser_path = shutil.which("chromium")
    if browser_path is None:
        return {}
    from playwright.sync_api import sync_playwright

    seconds = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        for path in pages:
            times = []
            for _ in range(_ROUNDS):
                began = time.perf_counter()
                page.goto((folder / path).as_uri(), wait_until="load")
                page.evaluate("document.body.getBoundingClientRect().height")
                times.append(time.perf_counter() - began)
            seconds[path] = sorted(times)[_ROUNDS // 2]
        browser.close()
    return seconds


def measure(versions: int) -> Figures:
    """Fill a database, write the report in another process, and open its pages."""
    with temporary_postgres(["site"]) as postgres, tempfile.TemporaryDirectory(prefix="verifywise-bench-") as scratch:
        url, folder = postgres.url("site"), Path(scratch) / "report"
        sys.stdout.write(f"{versions:,} versions are synced …\n")
        fill(url, versions)
        output = run_in_own_process("site", "--write", folder, postgres=postgres, database="site")
        figures = json.loads(output)
        figures["opened_seconds"] = opened_seconds(folder, figures["largest_pages"])
        return Figures(**figures)


def tables(figures: Figures) -> list[MarkdownTable]:
    """Return a table of the report, and one of its largest pages."""
    report = MarkdownTable(
        "report",
        ("versions", "pages", "seconds", "our CPU s", "Postgres CPU s", "peak MB", "MB on disk"),
        [
            (
                f"{figures.versions:,}",
                f"{figures.pages:,}",
                f"{figures.seconds:.1f}",
                f"{figures.cpu_seconds:.1f}",
                f"{figures.postgres_cpu_seconds:.1f}",
                f"{figures.peak_bytes / 1e6:.0f}",
                f"{figures.site_bytes / 1e6:.0f}",
            )
        ],
    )
    rows = [
        (
            path,
            f"{size / 1e3:,.0f}",
            f"{1000 * figures.opened_seconds[path]:.0f}" if path in figures.opened_seconds else "not measured",
        )
        for path, size in figures.largest_pages.items()
    ]
    return [report, MarkdownTable("report-pages", ("largest page of its folder", "kB", "ms until it is open"), rows)]


def main() -> int:
    """Measure, print tables and save the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.site", description=__doc__)
    parser.add_argument("versions", nargs="?", type=int, default=5_000, help="how many (5,000)")
    parser.add_argument("--json", type=Path, default=RESULTS / "site.json", help="where the figures go")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)  # the argument of the report's process
    arguments = parser.parse_args()
    if arguments.write:
        url, postgres = given_database()
        figures = write(url, arguments.write, postgres)
        sys.stdout.write(json.dumps(asdict(figures)))
        return 0
    measured = measure(arguments.versions)
    publish(arguments.json, tables(measured), asdict(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
