"""The two routes to files that a tracking server stores itself: by their location, or by their run or logged model.

For each request of the second kind MLflow looks the run or the logged model up in its database, and takes two to four
times as long. The two may differ in what an account may read, and a server may serve only one of them. So the route is
chosen by measurement, for each server: both are used in turn for the first folders, then the one with the shorter
delays. A folder that the first route refuses, or shows to be empty, is read by the second.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Final

from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.stores.resolver import DirectSource
from verifywise_mlflow.artifacts.uris import is_unambiguous, parse_uri
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.http.errors import HttpError

MEASURED_LISTINGS: Final = 4
"""Listings by each route before one is chosen."""
_OWN_STORE: Final = "mlflow-artifacts:"
"""The anchor of locations in the server's own store. With a host, the store may be another server's."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""Names that no route could read in another way."""


def path_in_own_store(uri: str | None) -> str | None:
    """Return the path of a location in the tracking server's own store; None for any other location."""
    if uri is None or not is_unambiguous(uri):
        return None
    location = parse_uri(uri, unescape=False)
    if location.anchor != _OWN_STORE or not all(map(_PLAIN_NAME.fullmatch, location.segments)):
        return None
    return "/".join(location.segments)


class RouteChoice:
    """The route by which the next folder of one server is read. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[bool, list[float]] = {True: [], False: []}
        """Whether the route is by location, to the delays of its first listings."""
        self._turn = False
        self._is_refused = False

    def by_location(self) -> bool:
        """Return whether to read the next folder by its location."""
        with self._lock:
            if self._is_refused:
                return False
            if all(len(seconds) >= MEASURED_LISTINGS for seconds in self._seconds.values()):
                return median(self._seconds[True]) < median(self._seconds[False])
            self._turn = not self._turn
            return self._turn

    def record(self, seconds: float, *, by_location: bool) -> None:
        """Take the delay of a listing."""
        with self._lock:
            measured = self._seconds[by_location]
            if len(measured) < MEASURED_LISTINGS:
                measured.append(seconds)

    def refuse(self) -> None:
        """Use no location from now on: the server does not serve them, or not for this account."""
        with self._lock:
            self._is_refused = True


class OwnStoreSource:
    """One root of files in the server's own store, read by one of the two routes."""

    def __init__(self, by_location: DirectSource, by_object: DirectSource, choice: RouteChoice) -> None:
        self._routes = {True: by_location, False: by_object}
        self._choice = choice
        self._by_location = choice.by_location()
        self._has_listed = False

    @property
    def has_retryable_failure(self) -> bool:
        """Whether a read failed with an error that may be transient."""
        return self._routes[self._by_location].has_retryable_failure

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List the entries of a directory."""
        started = time.monotonic()
        try:
            entries = self._routes[self._by_location].list_directory(path)
        except ArtifactReadError as error:
            if not self._falls_back(error):
                raise
            self._choice.refuse()
            return self._routes[False].list_directory(path)
        self._choice.record(time.monotonic() - started, by_location=self._by_location)
        if self._by_location and not entries and not self._has_listed:
            # A folder that is not where its run says looks empty.
            self._by_location = False
            return self._routes[False].list_directory(path)
        self._has_listed = True
        return entries

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Stream the first ``max_bytes`` bytes of a file in chunks."""
        with ExitStack() as stack:
            yield self._open(stack, path, max_bytes)

    def _open(self, stack: ExitStack, path: str, max_bytes: int) -> Iterator[bytes]:
        try:
            return stack.enter_context(self._routes[self._by_location].read(path, max_bytes))
        except ArtifactReadError as error:
            if not self._falls_back(error):
                raise
        return stack.enter_context(self._routes[False].read(path, max_bytes))

    def _falls_back(self, error: ArtifactReadError) -> bool:
        """Return whether the other route may read what this one does not; use that one from now on."""
        cause = error.__cause__
        if not self._by_location or (isinstance(cause, HttpError) and cause.retryable):
            return False
        self._by_location = False
        return True
