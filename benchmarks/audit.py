"""``python -m benchmarks.audit``: the speed and memory of verifying a long audit trail from the database."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.verification import verify_chain
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import sign_chain_head

ENTRIES_PER_TRANSACTION = 1_000
"""Entries per transaction. Each transaction ends with a checkpoint, like a sync."""

VERIFYING = "import sys; from benchmarks.audit import verify_alone; verify_alone(*sys.argv[1:])"


@dataclass(frozen=True, slots=True)
class Figures:
    """The measured cost of verifying a trail."""

    entries: int
    entry_bytes: float
    """The mean size of an entry."""
    append_seconds: float
    verify_seconds: float
    entries_a_second: float
    processor_seconds: float
    """CPU time of the verifying process. It does not depend on other load of the machine."""
    peak_mib: float
    """The peak memory of the verifying process, and its memory before verification began."""
    before_mib: float


def entry(number: int) -> AuditEntry:
    """Return an entry of the most frequent kind: an object that could not be read."""
    return AuditEntry(
        tenant_id="acme",
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        kind="object unreadable",
        sync_id="3f1f6f0e-5d1c-4d4e-9b64-5f8f0a8c9d11",
        source_uri="https://mlflow.example",
        outcome="incomplete",
        code_version="0",
        credential_identity="basic svc-governance (password from env:ACME_MLFLOW_PASSWORD)",
        server_version="3.17.0",
        object_kind="training run",
        object_name=f"{number:032x}",
        reason=f"training run {number:032x} does not exist on the server",
    )


def write(url: str, entries: int, key: SigningKey) -> float:
    """Write a trail; return the duration in seconds."""
    began = time.monotonic()
    with Store(url) as store:
        for start in range(0, entries, ENTRIES_PER_TRANSACTION):
            with store.begin("acme") as session:
                audit_log.append(session, [entry(number) for number in range(start, start + ENTRIES_PER_TRANSACTION)])
                sign_chain_head(session, key, datetime(2026, 1, 1, tzinfo=UTC))
    return time.monotonic() - began


def peak_mib() -> float:
    """Return the peak memory of this process."""
    # ru_maxrss is not used, since it starts at the memory of the parent process.
    (kibibytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(kibibytes) / 1024


def verify_alone(url: str, private_key: str) -> None:
    """Verify the trail in a separate process and print the cost."""
    key = SigningKey.from_pem(Path(private_key).read_bytes())
    with Store(url) as store, store.begin("acme") as session:
        peak_before, began, began_working = peak_mib(), time.monotonic(), time.process_time()
        stored = audit_log.checkpoints(session)
        report = verify_chain("acme", audit_log.links(session), stored, keys=[key.public])
        seconds, cpu_seconds = time.monotonic() - began, time.process_time() - began_working
    assert report.damage is None, report.damage
    assert report.vouched == report.entries
    result = {
        "entries": report.entries,
        "seconds": seconds,
        "worked": cpu_seconds,
        "peak_mib": peak_mib(),
        "before_mib": peak_before,
    }
    sys.stdout.write(json.dumps(result))


def measure(entries: int, folder: Path) -> Figures:
    """Write a trail into a separate Postgres and verify it."""
    key = SigningKey.generate()
    private_key = folder / "signing.pem"
    private_key.write_bytes(key.pem())
    with temporary_postgres() as postgres:
        url = postgres.url("postgres")
        append_seconds = write(url, entries, key)
        with Store(url) as store, store.begin("acme") as session:
            head = audit_log.head(session)
        process = subprocess.run(  # noqa: S603  # our own code, with arguments that we made
            [sys.executable, "-c", VERIFYING, url, str(private_key)],
            check=True,
            capture_output=True,
        )
    result = json.loads(process.stdout)
    assert head
    return Figures(
        entries=result["entries"],
        entry_bytes=len(head.text),
        append_seconds=append_seconds,
        verify_seconds=result["seconds"],
        entries_a_second=result["entries"] / result["seconds"],
        processor_seconds=result["worked"],
        peak_mib=result["peak_mib"],
        before_mib=result["before_mib"],
    )


def main() -> int:
    """Measure, print and save the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000, help="how long the trail is (1,000,000)")
    parser.add_argument("--json", type=Path, default=RESULTS / "audit.json", help="where the figures go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verifywise-bench-") as folder:
        figures = measure(arguments.entries, Path(folder))
    headings = (
        "entries",
        "bytes an entry",
        "append s",
        "verify s",
        "entries a second",
        "CPU s",
        "peak MiB",
        "MiB before",
    )
    row = (
        f"{figures.entries:,}",
        f"{figures.entry_bytes:,.0f}",
        f"{figures.append_seconds:.0f}",
        f"{figures.verify_seconds:.1f}",
        f"{figures.entries_a_second:,.0f}",
        f"{figures.processor_seconds:.1f}",
        f"{figures.peak_mib:.0f}",
        f"{figures.before_mib:.0f}",
    )
    publish(arguments.json, [MarkdownTable("audit", headings, [row])], asdict(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
