"""Measures the effect of readers on a server that spends 0.3 s of CPU on each request's password, with two workers.

An independent user of the server sends one small request after another, with a pause. The delays of this user are
compared in four phases: nobody else reads; one plain connection reads the files; eight plain connections read them; our
stage reads them.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median

import urllib3

from benchmarks import our_files
from benchmarks.distance.file_trees import Layout, file_tree
from benchmarks.latency_proxy import Traffic, distance
from benchmarks.measurement import measure
from benchmarks.scenarios import ReportProgress, password_server
from benchmarks.tables import MarkdownTable
from benchmarks.task import PASSWORD_VARIABLE, USER, Contender, Task
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow_tests.support.databases import create_migrated_database

STEP_SECONDS = 0.5
PROBE_PAUSE_SECONDS = 0.5
IDLE_SECONDS = 6.0
_BARS = " ▁▂▃▄▅▆▇█"

Sample = tuple[float, float]
"""A time (``time.monotonic``) and a value."""


@dataclass(frozen=True, slots=True)
class Phase:
    """The figures of one reader. Times are values of ``time.monotonic``."""

    reader: str
    began: float
    ended: float
    traffic: Traffic
    probes: Sequence[Sample]
    """The times at which the independent user sent a request, and the seconds until the response."""
    limits: Sequence[Sample] = field(default=())
    """Our limit on concurrent requests."""

    def over_time(self, values_at: Callable[[float, float], Sequence[float]]) -> list[float]:
        """Return the mean of the observations in each step. A step without observations has the former step's mean."""
        steps = range(max(int((self.ended - self.began) / STEP_SECONDS), 1))
        means: list[float] = []
        for since in (self.began + step * STEP_SECONDS for step in steps):
            if values := values_at(since, since + STEP_SECONDS):
                # The steps before the first observation get the first mean.
                means += [mean(values)] * (1 if means else 1 + int((since - self.began) / STEP_SECONDS))
            elif means:
                means.append(means[-1])
        return means or [0.0]

    def series(self) -> Mapping[str, list[float]]:
        """Return the figures over time, one value per step."""
        series = {
            "requests in flight": self.over_time(
                lambda since, until: [self.traffic.in_flight(since + (until - since) * part / 5) for part in range(5)]
            ),
            "our delay, s": self.over_time(
                lambda since, until: [
                    began - received for received, began, _ in self.traffic.exchanges if since <= received < until
                ]
            ),
            "the other user's delay, s": self.over_time(_within(self.probes)),
        }
        return ({"limit": self.over_time(_within(self.limits))} if self.limits else {}) | series


def _within(samples: Sequence[Sample]) -> Callable[[float, float], list[float]]:
    return lambda since, until: [value for at, value in samples if since <= at < until]


def measure_load(layout: Layout, report_progress: ReportProgress) -> list[Phase]:
    """Let each reader read the same files."""
    with tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder:
        server, variables = password_server(Path(folder), ("--workers", "2"))
        with (
            server,
            temporary_postgres() as postgres,
            file_tree("mlflow", layout, Path(folder), server.uri) as tree,
            distance([server.port]) as proxy,
        ):
            database = create_migrated_database(postgres)
            files = replace(tree.task(proxy), limits_file=f"{folder}/limits.json")
            task = Task(proxy.uri(server.uri), with_password=True, database_url=database, files=files)
            report_progress("reading the versions")
            with _environment(variables):
                our_files.read_listings(task)
            phases = []
            for reader, contender, connections in _READERS:
                report_progress(reader)
                proxy.traffic()
                with _probing(server.uri, variables[PASSWORD_VARIABLE]) as probes:
                    began = time.monotonic()
                    if contender:
                        its_task = replace(task, files=replace(files, connections=connections))
                        measure(contender, its_task, server.process, variables=variables)
                    else:
                        time.sleep(IDLE_SECONDS)
                    ended = time.monotonic()
                traffic = proxy.traffic()
                if traffic.exchanges:  # the start of the process does not count
                    began, ended = traffic.exchanges[0][0], max(exchange[2] for exchange in traffic.exchanges)
                during = [probe for probe in probes if began <= probe[0] < ended]
                limits = Path(files.limits_file)
                samples = json.loads(limits.read_text()) if contender is Contender.OUR_FILES else []
                phases.append(Phase(reader, began, ended, traffic, during, samples))
            return phases


_READERS = (
    ("nobody", None, 0),
    ("one plain connection", Contender.PLAIN_FILES, 1),
    ("eight plain connections", Contender.PLAIN_FILES, 8),
    ("we", Contender.OUR_FILES, 0),
)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process, since this process reads the versions."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


@contextmanager
def _probing(uri: str, password: str) -> Iterator[list[Sample]]:
    """Send requests as an independent user; yield the list of the delays."""
    samples: list[Sample] = []
    is_over = threading.Event()
    headers = urllib3.make_headers(basic_auth=f"{USER}:{password}")

    def probe() -> None:
        with urllib3.PoolManager(headers=headers, retries=False, timeout=120) as http:
            while not is_over.wait(PROBE_PAUSE_SECONDS):
                began = time.monotonic()
                response = http.request("GET", f"{uri}/api/2.0/mlflow/experiments/get?experiment_id=0")
                assert response.status == 200, response.data
                samples.append((began, time.monotonic() - began))

    probing = threading.Thread(target=probe, daemon=True)
    probing.start()
    try:
        yield samples
    finally:
        is_over.set()
        probing.join()


def tables(phases: Sequence[Phase]) -> list[MarkdownTable]:
    """Return a table with a row for each reader, and a table of our reading over time."""
    rows = []
    for phase in phases:
        in_flight = phase.series()["requests in flight"]
        own = [began - received for received, began, _ in phase.traffic.exchanges]
        rows.append(
            (
                phase.reader,
                f"{phase.ended - phase.began:.0f} s",
                f"{phase.traffic.requests:,}",
                f"{median(in_flight):.1f}, {max(in_flight):.1f}" if own else "",
                _spread(own),
                _spread([seconds for _, seconds in phase.probes]),
            )
        )
    course = [
        (name, f"`{_sparkline(values)}`", f"{min(values):.2f} to {max(values):.2f}")
        for name, values in phases[-1].series().items()
    ]
    return [
        MarkdownTable("load", _HEADINGS, rows, "Delays in seconds: median, 95th percentile, longest."),
        MarkdownTable("load-over-time", ("while we read", f"each {STEP_SECONDS:g} s", "range"), course),
    ]


_HEADINGS = (
    *("who reads", "for", "requests", "in flight: median, most"),
    *("the reader's delays", "another user's delays"),
)


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return ""
    ordered = sorted(seconds)
    late = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    return f"{median(ordered):.2f}, {late:.2f}, {ordered[-1]:.2f}"


def _sparkline(values: Sequence[float]) -> str:
    highest = max(values) or 1.0
    return "".join(_BARS[round(value / highest * (len(_BARS) - 1))] for value in values)


def as_plain_values(phases: Sequence[Phase]) -> list[dict[str, object]]:
    """Return the figures for JSON."""
    return [
        {
            "reader": phase.reader,
            "seconds": phase.ended - phase.began,
            "step_seconds": STEP_SECONDS,
            "requests": phase.traffic.requests,
            "series": phase.series(),
            "probes": [[at - phase.began, seconds] for at, seconds in phase.probes],
            "exchanges": [[moment - phase.began for moment in exchange] for exchange in phase.traffic.exchanges],
        }
        for phase in phases
    ]
