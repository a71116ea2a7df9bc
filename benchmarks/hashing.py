"""``python -m benchmarks.hashing``: our hashing compared with a plain read through ``sha256sum``.

It hashes a few large files and many small files.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.artifacts.hashing import FileHash, hash_stream
from verifywise_mlflow.artifacts.limits import GIB

MIB = 1024**2

CHUNK = 256 * 1024
LARGE, SMALL = (3, 512 * MIB), (5_000, 4 * 1024)
"""The number of files, and the number of bytes per file."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The result of one competitor for one folder."""

    files: str
    contender: str
    seconds: tuple[float, ...]
    bytes_a_second: float
    """The figure of the median round."""
    files_a_second: float


def chunks(path: Path) -> Iterator[bytes]:
    """Read a file in chunks, as from a server."""
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def in_this_process(files: Sequence[Path]) -> list[str]:
    """Hash as a sync does."""
    hashed = [hash_stream(chunks(path), 4 * GIB) for path in files]
    assert all(isinstance(file_hash, FileHash) for file_hash in hashed), hashed
    return [file_hash.sha256 for file_hash in hashed if isinstance(file_hash, FileHash)]


def by_sha256sum(files: Sequence[Path]) -> list[str]:
    """Read in the same chunks and pipe them into ``sha256sum``, one process per file."""
    hashes = []
    for path in files:
        with subprocess.Popen(["sha256sum"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S607
            assert process.stdin
            assert process.stdout
            for chunk in chunks(path):
                process.stdin.write(chunk)
            process.stdin.close()
            hashes.append(process.stdout.read().split()[0].decode())
    return hashes


CONTENDERS: dict[str, Callable[[Sequence[Path]], list[str]]] = {
    "hash_stream": in_this_process,
    "plain read + sha256sum": by_sha256sum,
}


def measure(folder: Path, rounds: int) -> list[Figure]:
    """Write the files, hash them in alternation, and check that all hashes agree."""
    figures = []
    for count, size in (LARGE, SMALL):
        files = [folder / f"{size}-{number}" for number in range(count)]
        for path in files:
            path.write_bytes(os.urandom(min(size, MIB)) * max(size // MIB, 1))
        seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        expected: list[str] | None = None
        for _ in range(rounds):
            for name, hash_all in CONTENDERS.items():
                began = time.monotonic()
                hashes = hash_all(files)
                seconds[name].append(time.monotonic() - began)
                assert expected in (None, hashes)
                expected = hashes
        for name, seconds_taken in seconds.items():
            median = statistics.median(seconds_taken)
            workload = f"{count:,} of {size // 1024:,} KiB"
            figures.append(Figure(workload, name, tuple(seconds_taken), count * size / median, count / median))
        for path in files:
            path.unlink()
    return figures


def main() -> int:
    """Measure, print a table and save the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hashing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each hashes (3)")
    parser.add_argument("--json", type=Path, default=RESULTS / "hashing.json", help="where the figures go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder:
        figures = measure(Path(folder), arguments.rounds)
    rows = [
        (
            figure.files,
            figure.contender,
            f"{figure.bytes_a_second / 1e6:,.0f}",
            f"{figure.files_a_second:,.1f}",
            f"{statistics.median(figure.seconds):.2f} ({min(figure.seconds):.2f} to {max(figure.seconds):.2f})",
        )
        for figure in figures
    ]
    headings = ("files", "with", "MB a second", "files a second", "seconds (least to most)")
    publish(arguments.json, [MarkdownTable("hashing", headings, rows)], list(map(asdict, figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
