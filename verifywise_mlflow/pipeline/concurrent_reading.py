"""Reads the files of several versions at the same time, since a distant server makes each request wait.

Threads read; only the stage's own thread writes. The server's adaptive limit (``http/adaptive_limit.py``) decides how
many requests are in flight. A thread that finds no further version helps the other threads with their files.

Memory holds at most one version and a chunk of one file for each of the ``max_concurrent_requests`` threads. Memory
also holds the manifests that wait to be written: up to ``VERSIONS_PER_BATCH`` manifests in a batch. The queue has up to
twice this number of manifests, or up to two manifests per thread if this is more.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Final

from verifywise_mlflow.http.errors import CircuitOpenError
from verifywise_mlflow.persistence.repositories.manifests import ManifestReadResult, PendingManifest
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.pipeline.manifest_reader import (
    FolderListing,
    LinkedVersion,
    ManifestReader,
    ReadingTools,
    link_versions,
)
from verifywise_mlflow.pipeline.shared_work import SharedWork

VERSIONS_PER_BATCH: Final = 20
"""The number of versions in one transaction. It is low, because gigabytes may have been read for a manifest, and a
killed sync loses the manifests of its open transaction."""
BATCH_SECONDS: Final = 0.5
"""How long a batch waits for more versions."""


@dataclass(frozen=True, slots=True)
class VersionReading:
    """A version whose files were read."""

    version: LinkedVersion
    result: ManifestReadResult | None
    """None if only the folder was listed and is still empty."""


class ReadingStoppedError(Exception):
    """No further request can be sent. ``due`` is the version whose reading showed this, ``cause`` the reason."""

    def __init__(self, due: PendingManifest, cause: CircuitOpenError) -> None:
        super().__init__(str(cause))
        self.due = due
        self.cause = cause


def read_versions(
    context: StageContext, due: Sequence[PendingManifest], tools: ReadingTools, *, threads: int
) -> Iterator[list[VersionReading]]:
    """Yield the versions that were read, in batches, in the order in which their reading ended.

    Args:
        context: The stage's context.
        due: The versions to read. The versions of one run are next to each other.
        tools: The resources for reading, which threads share.
        threads: How many read at the same time.

    Raises:
        ReadingStoppedError: No further request can be sent. All versions that could be read were yielded before.
        UnauthenticatedError: The server refused the credentials.
    """
    reading = _Reading(context, due, tools, threads)
    workers = [
        # Each thread runs in a copy of the context, so that its requests have the right parent span.
        threading.Thread(target=copy_context().run, args=(reading.work,), name=f"artifacts-{number}", daemon=True)
        for number in range(threads)
    ]
    for worker in workers:
        worker.start()
    try:
        yield from reading.batches(len(workers))
    except BaseException:
        # Otherwise a thread would read its version to the end, which may take half an hour.
        context.deadline.end()
        raise
    finally:
        reading.stop()
        for worker in workers:
            worker.join()
    reading.raise_failure()


class _Reading:
    """The state that the threads share."""

    def __init__(
        self, context: StageContext, due: Sequence[PendingManifest], tools: ReadingTools, threads: int
    ) -> None:
        self._context = context
        self._work = SharedWork(max_ahead=2 * threads)
        self._tools = replace(tools, map_in_order=self._work)
        self._versions = self._with_readers(due)
        self._under_way = 0
        """Versions that are being read."""
        self._lock = threading.Lock()
        """Held while a thread takes its next version, for which it may read a batch of versions from the database. Only
        one thread reads from the database at a time, so two connections suffice."""
        self._done: queue.Queue[VersionReading | None] = queue.Queue(2 * max(VERSIONS_PER_BATCH, threads))
        """Versions that were read, and None for each thread that has ended. While the queue is full, threads wait for
        the writer. After the writer has stopped, the queue has space for the last two items of each thread."""
        self._stopping = threading.Event()
        self._failure: Exception | None = None

    def work(self) -> None:
        """Read one version after the other, then help the other threads with their versions."""
        try:
            while taken := self._next():
                try:
                    self._read(*taken)
                finally:
                    self._end_version()
            self._work.help(is_over=lambda: not self._under_way)
        except Exception as error:  # noqa: BLE001 - raised by raise_failure() in the thread of the stage
            with self._lock:
                self._failure = self._failure or error
            self._stopping.set()
        finally:
            self._done.put(None)

    def _with_readers(self, due: Sequence[PendingManifest]) -> Iterator[tuple[ManifestReader, LinkedVersion]]:
        """Yield each version with its reader, which the versions of one run share."""
        run_id, reader = None, ManifestReader(self._context, self._tools)
        for start in range(0, len(due), VERSIONS_PER_BATCH):
            for version in link_versions(self._context, due[start : start + VERSIONS_PER_BATCH]):
                if version.due.run_id is None or version.due.run_id != run_id:
                    run_id, reader = version.due.run_id, ManifestReader(self._context, self._tools)
                yield reader, version

    def _next(self) -> tuple[ManifestReader, LinkedVersion] | None:
        with self._lock:
            taken = None if self._stopping.is_set() else next(self._versions, None)
            self._under_way += taken is not None
            return taken

    def _end_version(self) -> None:
        with self._lock:
            self._under_way -= 1
        self._work.recheck()

    def _read(self, reader: ManifestReader, version: LinkedVersion) -> None:
        deadline = self._context.deadline
        try:
            deadline.check()
            # A version is read to its end. If the deadline interrupted it, a large version would never be complete.
            with deadline.extended_to(self._context.tenant.artifacts.max_version_seconds):
                is_still_empty = version.due.is_empty_retry and reader.list_folder(version) is FolderListing.EMPTY
                result = None if is_still_empty else reader.read(version)
        except CircuitOpenError as error:
            raise ReadingStoppedError(version.due, error) from error
        self._done.put(VersionReading(version, result))

    def batches(self, threads: int) -> Iterator[list[VersionReading]]:
        """Yield the versions that the threads have read, until all threads have ended."""
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
            if batch and (len(batch) >= VERSIONS_PER_BATCH or not threads or time.monotonic() >= ends_at):
                yield batch
                batch = []

    def stop(self) -> None:
        """Let each thread end after the version that it reads."""
        self._stopping.set()
        while not self._done.empty():  # a thread may wait until the queue is no longer full
            self._done.get()

    def raise_failure(self) -> None:
        """Raise the exception that ended a thread."""
        if self._failure:
            raise self._failure
