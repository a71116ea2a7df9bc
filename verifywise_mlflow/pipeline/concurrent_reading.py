"""Reads the files of several versions at the same time, since a distant server makes each request wait.

Threads read; the thread of the stage alone writes. How many requests are under way is not decided here but by the
server's adaptive limit (``http/adaptive_limit.py``). The versions of one run stay in one thread, as they share the
listing and the hashes of the run's files.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from verifywise_mlflow.http.errors import CircuitOpenError
from verifywise_mlflow.persistence.repositories.manifests import ManifestReadResult, PendingManifest
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.pipeline.manifest_reader import (
    FolderListing,
    LinkedVersion,
    ManifestReader,
    ReadingTools,
    link_version,
)

BATCH_SIZE: Final = 20
"""Versions in one transaction. Few, because a manifest may have cost reading gigabytes, and a killed sync loses those
of its open transaction."""
BATCH_SECONDS: Final = 0.5
"""How long a batch waits for more versions."""


@dataclass(frozen=True, slots=True)
class VersionReading:
    """A version whose files were read."""

    version: LinkedVersion
    result: ManifestReadResult | None
    """Null if only the folder was listed, and is empty as before."""


class ReadingStoppedError(Exception):
    """No further request can be sent. ``due`` is the version at which it showed, ``cause`` the reason."""

    def __init__(self, due: PendingManifest, cause: CircuitOpenError) -> None:
        super().__init__(str(cause))
        self.due = due
        self.cause = cause


def read_versions(
    context: StageContext, due: Sequence[PendingManifest], tools: ReadingTools, *, threads: int
) -> Iterator[list[VersionReading]]:
    """Yield the versions that were read, in batches, in the order in which they were done.

    Args:
        context: Of the stage.
        due: The versions to read, those of one run next to each other.
        tools: The resources for reading, which threads share.
        threads: How many versions are read at the same time at most.

    Raises:
        ReadingStoppedError: After all versions that could be read were yielded.
        UnauthenticatedError: The server refused the credentials.
    """
    reading = _Reading(context, due, tools)
    workers = [
        threading.Thread(target=reading.work, name=f"artifacts-{number}", daemon=True) for number in range(threads)
    ]
    for worker in workers:
        worker.start()
    try:
        yield from reading.batches(len(workers))
    except BaseException:
        # Without this, a thread would read its version to the end, which may take half an hour.
        context.deadline.end()
        raise
    finally:
        reading.stop()
        for worker in workers:
            worker.join()
    reading.raise_failure()


class _Reading:
    """The state that the threads share."""

    def __init__(self, context: StageContext, due: Sequence[PendingManifest], tools: ReadingTools) -> None:
        self._context = context
        self._tools = tools
        self._groups = groupby(due, key=attrgetter("run_id"))
        self._lock = threading.Lock()
        """For taking a group, and for the database: two connections are enough for any number of threads."""
        self._done: queue.Queue[VersionReading | None] = queue.Queue(2 * BATCH_SIZE)
        """Versions that were read, and a null for each thread that has ended. Full: the threads wait for the writer."""
        self._stopping = threading.Event()
        self._failure: Exception | None = None

    def work(self) -> None:
        """Read one group after the other."""
        try:
            while not self._stopping.is_set() and (group := self._next_group()):
                reader = ManifestReader(self._context, self._tools)
                for due in group:
                    if self._stopping.is_set():
                        return
                    self._read(reader, due)
        except Exception as error:  # noqa: BLE001 - raised by raise_failure() in the thread of the stage
            with self._lock:
                self._failure = self._failure or error
            self._stopping.set()
        finally:
            self._done.put(None)

    def _next_group(self) -> list[PendingManifest]:
        with self._lock:
            group = next(self._groups, None)
            return list(group[1]) if group else []

    def _read(self, reader: ManifestReader, due: PendingManifest) -> None:
        deadline = self._context.deadline
        try:
            deadline.check()
            with self._lock:
                version = link_version(self._context, due)
            # Half a version is worth nothing: a large one would never be read if the deadline cut it short.
            with deadline.extended_to(self._context.tenant.artifacts.max_version_seconds):
                is_still_empty = due.is_empty_retry and reader.list_folder(version) is FolderListing.EMPTY
                result = None if is_still_empty else reader.read(version)
        except CircuitOpenError as error:
            raise ReadingStoppedError(due, error) from error
        self._done.put(VersionReading(version, result))

    def batches(self, threads: int) -> Iterator[list[VersionReading]]:
        """Yield what the threads have read, until all have ended."""
        batch: list[VersionReading] = []
        ends_at = time.monotonic() + BATCH_SECONDS
        while threads:
            try:
                item = self._done.get(timeout=max(ends_at - time.monotonic(), 0) if batch else None)
            except queue.Empty:
                pass
            else:
                if item is None:
                    threads -= 1
                else:
                    batch.append(item)
                    if len(batch) == 1:
                        ends_at = time.monotonic() + BATCH_SECONDS
            if batch and (len(batch) >= BATCH_SIZE or not threads or time.monotonic() >= ends_at):
                yield batch
                batch = []

    def stop(self) -> None:
        """Let each thread end after the version that it reads."""
        self._stopping.set()
        # A thread may wait for room.
        while any(True for _ in self._drained()):
            pass

    def _drained(self) -> Iterator[VersionReading | None]:
        while not self._done.empty():
            yield self._done.get()

    def raise_failure(self) -> None:
        """Raise what ended a thread."""
        if self._failure:
            raise self._failure
