"""The two routes to files that a tracking server stores itself: by location, or by object (the run or logged model).

For each request by object, MLflow looks up the run or the logged model in its database, so the request takes two to
four times as long. An account may have access by only one of the routes, and a server may serve only one route. So the
route is chosen for each server by measurement: both routes are used in turn for the first folders. Then the route by
location is used, unless it was clearly slower; a slower route by location is tried again now and then. Files that the
route by location does not serve, and folders that it shows as empty, are read by object. A failure or an empty folder
by location proves nothing: only MLflow's response for the run or the logged model counts.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.stores.resolver import DirectSource
from verifywise_mlflow.artifacts.uris import is_unambiguous, parse_uri
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.http.errors import ForbiddenError, HttpError, UnauthenticatedError

MEASURED_LISTINGS: Final = 4
"""The number of listings by each route before a route is chosen."""
NOTICEABLE_RATIO: Final = 1.5
"""The route by location is chosen if its delay is less than this many times the delay by object, since this route costs
the server less, even if network delay hides the difference."""
FOLDERS_PER_TRIAL: Final = 16
"""While the route by object is used, one folder out of this many is listed by location: the server may have been busy
when the first delays were measured."""
_OWN_STORE: Final = "mlflow-artifacts:"
"""The anchor of locations in the server's own store. An anchor with a host may lead to the store of another server."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""Names that both routes read in the same way."""


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
        self._shortest: dict[bool, float] = {}
        """The shortest delay of a listing, in seconds, by whether the route is by location. Longer delays include
        waiting for our other requests."""
        self._listings: Counter[bool] = Counter()
        """The number of listings by each route."""
        self._turn = False
        self._folders = 0
        """The number of folders since both routes were measured."""
        self._is_refused = False
        self._listed_by_location = 0
        """The number of folders with entries that the route by location has listed."""

    @property
    def is_proven(self) -> bool:
        """Whether the route by location has listed enough folders to be trusted when it shows an empty folder."""
        return self._listed_by_location >= MEASURED_LISTINGS

    def by_location(self) -> bool:
        """Return whether to read the next folder by its location."""
        with self._lock:
            if self._is_refused:
                return False
            if self._is_measured():
                self._folders += 1
                return self._is_location_faster() or self._folders % FOLDERS_PER_TRIAL == 0
            self._turn = not self._turn
            return self._turn

    def reads_by_location(self) -> bool:
        """Return whether to read a file by its location although its folder was listed by the other route.

        The result is true after the route by location has shown files, until the other route is known to be faster. The
        choice matters, because a file may be large.
        """
        with self._lock:
            is_serving = bool(self._listed_by_location) and not self._is_refused
            return is_serving and (not self._is_measured() or self._is_location_faster())

    def _is_measured(self) -> bool:
        return all(self._listings[route] >= MEASURED_LISTINGS for route in (True, False))

    def _is_location_faster(self) -> bool:
        return self._shortest[True] < NOTICEABLE_RATIO * self._shortest[False]

    def record(self, seconds: float, *, by_location: bool, is_empty: bool) -> None:
        """Record the delay of a listing, and whether it had no entries."""
        with self._lock:
            self._listed_by_location += by_location and not is_empty
            self._listings[by_location] += 1
            self._shortest[by_location] = min(seconds, self._shortest.get(by_location, seconds))

    def refuse(self) -> None:
        """Stop using the route by location: the server does not serve it, or not for this account."""
        with self._lock:
            self._is_refused = True


class OwnStoreSource:
    """One root of files in the server's own store, read by one of the two routes. Threads may share it."""

    def __init__(
        self, by_location: DirectSource, by_object: DirectSource, choice: RouteChoice, *, may_be_empty: bool
    ) -> None:
        """Combine the two routes.

        Args:
            by_location: The source by location.
            by_object: The source by run or logged model.
            choice: The route choice for the server.
            may_be_empty: Whether a root without entries is plausible, such as a run whose model is elsewhere.
        """
        self._may_be_empty = may_be_empty
        self._location_route = by_location
        self._object_route = by_object
        self._choice = choice
        self._by_location = choice.by_location()
        self._has_listed = False
        self._has_broken_off = False
        """Whether the route by location opened a file and then failed before the file's end."""

    @property
    def has_retryable_failure(self) -> bool:
        """Whether a read failed with an error that may be transient."""
        # For everything else, the route by object decides.
        return self._object_route.has_retryable_failure or self._has_broken_off

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List the entries of a directory."""
        started = time.monotonic()
        if not self._by_location:
            entries = self._object_route.list_directory(path)
            self._choice.record(time.monotonic() - started, by_location=False, is_empty=not entries)
            return entries
        try:
            entries = self._location_route.list_directory(path)
        except (ArtifactReadError, UnauthenticatedError):
            entries = self._object_route.list_directory(path)
            # The route by object succeeded, so the failure is due to the route by location, not the folder or server.
            self._leave_location_route()
            return entries
        self._choice.record(time.monotonic() - started, by_location=True, is_empty=not entries)
        is_trusted = self._has_listed or (self._may_be_empty and not path and self._choice.is_proven)
        if not entries and not is_trusted:
            # A folder appears empty if it is elsewhere than its run states.
            self._by_location = False
            if entries := self._object_route.list_directory(path):
                self._leave_location_route()
            return entries
        self._has_listed = True
        return entries

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Stream the first ``max_bytes`` bytes of a file in chunks."""
        with ExitStack() as stack:
            yield self._open(stack, path, max_bytes)

    def _open(self, stack: ExitStack, path: str, max_bytes: int) -> Iterator[bytes]:
        if self._by_location or self._choice.reads_by_location():
            try:
                chunks = stack.enter_context(self._location_route.read(path, max_bytes))
            except (ArtifactReadError, UnauthenticatedError) as error:
                chunks = stack.enter_context(self._object_route.read(path, max_bytes))
                if _concerns_every_file(error):
                    self._leave_location_route()
                return chunks
            return self._watch(chunks)
        return stack.enter_context(self._object_route.read(path, max_bytes))

    def _watch(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except ArtifactReadError:
            self._has_broken_off = True
            raise

    def _leave_location_route(self) -> None:
        self._by_location = False
        self._choice.refuse()


def _concerns_every_file(error: Exception) -> bool:
    """Return whether the route failed as a whole. An error about one file may be due to the file's name."""
    cause = error if isinstance(error, HttpError) else error.__cause__
    return isinstance(cause, UnauthenticatedError | ForbiddenError | EndpointNotFoundError) or (
        isinstance(cause, HttpError) and cause.retryable
    )
