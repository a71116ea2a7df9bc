"""The benchmarks' own parts: the delay that they add to connections, and how they repeat and print measurements."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.distance.load import Phase
from benchmarks.distance.pairs import compare, overview
from benchmarks.latency_proxy import Traffic, distance
from benchmarks.measurement import TimedRead
from benchmarks.other_load import OtherLoad
from benchmarks.polling.changes import KINDS
from benchmarks.tables import MarkdownTable, paste, saved_tables
from benchmarks.task import ReadCounts
from verifywise_mlflow_tests.support.documentation import read_page

BODY = b"x" * 100_000
ROUND_TRIP_S = 0.1


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server that keeps connections open."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Do not log requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def seconds_of_each_request(port: int, count: int) -> Sequence[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    seconds = []
    for _ in range(count):
        began = time.monotonic()
        connection.request("GET", "/")
        assert connection.getresponse().read() == BODY
        seconds.append(time.monotonic() - began)
    connection.close()
    return seconds


def test_a_distance_costs_a_round_trip_for_each_request_and_another_for_the_connection(port: int) -> None:
    with distance([port], 1_000 * ROUND_TRIP_S) as proxy:
        first, *later = seconds_of_each_request(proxy.ports[port], 3)
        traffic = proxy.traffic()

    assert first >= 2 * ROUND_TRIP_S
    assert ROUND_TRIP_S <= min(later) < 2 * ROUND_TRIP_S
    assert (traffic.connections, traffic.requests) == (1, 3)
    assert traffic.response_bytes > 3 * len(BODY)
    own_delays = [began - received for received, began, _ in traffic.exchanges]
    assert min(own_delays) < ROUND_TRIP_S / 2, "the server itself is fast"


def test_the_delay_of_each_kind_of_change_is_measured() -> None:
    row = re.compile(r"^\| ([^|]+) \| (?:seconds|as without) \| `(\w+)`", re.MULTILINE)
    documented = row.findall(read_page("how-to/webhooks.md"))

    assert {(kind.name, kind.interval) for kind in KINDS} == set(documented)


def test_requests_in_flight_are_those_that_the_server_has_received_and_not_answered() -> None:
    traffic = Traffic(exchanges=[(1.0, 2.0, 4.0), (3.0, 3.5, 5.0), (6.0, 7.0, 8.0)])

    assert [traffic.in_flight(at) for at in (0.5, 1.0, 3.0, 4.0, 5.5, 7.9)] == [0, 1, 2, 1, 0, 1]


@dataclass
class KnownLoad(OtherLoad):
    """A load of other processes that the test chooses."""

    known_cores: float

    def cores(self) -> float:
        return self.known_cores


def timed(wall_seconds: float) -> TimedRead:
    return TimedRead(0.0, 0.0, 0.0, 0, 0.0, 0, ReadCounts(), wall_seconds, 0.0, 0)


@pytest.mark.parametrize(
    ("loads", "ratios", "expected"),
    [
        ([0.0, 0.1], [2.0, 3.0], "2.50"),
        ([0.9, 0.1, 0.0], [9.0, 2.0, 2.0], "2.00"),
        ([0.9, 0.3, 0.8, 0.0], [9.0, 4.0, 9.0, 2.0], "3.00*"),
    ],
    ids=["undisturbed", "disturbed once", "disturbed each time: the least disturbed counts, and is marked"],
)
def test_a_disturbed_pair_is_measured_again(loads: list[float], ratios: list[float], expected: str) -> None:
    cores, ours = iter(loads), iter(ratios)

    comparison = compare(
        lambda: timed(1.0), lambda: timed(next(ours)), pairs=2, attempts=3, watch=lambda: KnownLoad(next(cores))
    )

    assert comparison.ratio(lambda read: read.wall_seconds) == expected
    assert next(cores, None) is None, "no pair is measured more often than necessary"


def test_an_overview_has_a_row_for_each_workload_and_a_column_for_each_distance() -> None:
    cells = {("small files", 0.0): "1.0", ("small files", 50.0): "1.2", ("large files", 0.0): "1.1"}

    table = overview("files-overview", "files of", cells).markdown()

    assert table.splitlines() == [
        "| files of | 0 ms | 50 ms |",
        "|---|---|---|",
        "| small files | 1.0 | 1.2 |",
        "| large files | 1.1 |  |",
    ]


def test_a_table_is_pasted_into_its_place_and_others_stay(tmp_path: Path) -> None:
    table = MarkdownTable("files", ("store", "seconds"), [("S3", "1"), ("S3", "2"), ("GCS", "3")])
    (tmp_path / "one.json").write_text(
        json.dumps({"machine": {"processors": 2}, "tables": {table.name: table.markdown()}})
    )
    page = "".join(
        f"<!-- table: {name} -->\n{content}\n<!-- end of table -->\n"
        for name, content in (("files", "old"), ("load", "kept"))
    )

    ((name, (line, markdown)),) = saved_tables(tmp_path).items()
    pasted = paste(page, {name: markdown})

    assert line == "processors 2"
    assert "| S3 | 1 |\n|  | 2 |\n| GCS | 3 |" in pasted
    assert "old" not in pasted
    assert "kept" in pasted
    assert paste(pasted, {name: markdown}) == pasted


def test_a_course_over_time_holds_the_last_value_and_begins_with_the_first() -> None:
    phase = Phase("we", began=10.0, ended=13.0, traffic=Traffic(), probes=[(11.0, 0.3), (11.2, 0.5), (12.1, 0.9)])

    assert phase.series()["the other user's delay, s"] == pytest.approx([0.4, 0.4, 0.4, 0.4, 0.9, 0.9])
    assert phase.series()["our delay, s"] == [0.0]
