"""Faults that a test can inject: errors, lost requests or responses, slow responses, a person's change before a
request."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from verifywise_mlflow.demo.servers.verifywise_server.messages import ReceivedRequest, Response


class Fault(StrEnum):
    """The kinds of faults of a request."""

    ANSWER = "answer"
    """The request is not executed, and gets another response."""
    LOSE_REQUEST = "lose request"
    """The request is not executed, and the connection is closed."""
    LOSE_ANSWER = "lose answer"
    """The request is executed, and the connection is closed without a response: the client cannot know the outcome."""
    WAIT = "wait"
    """The request is executed after an action that the test supplies."""


@dataclass(slots=True)
class PlannedFault:
    """A fault of the next requests that match its method and path."""

    fault: Fault
    times: int
    method: str
    path: re.Pattern[str]
    answer: Response = field(default_factory=lambda: Response(500))
    first: Callable[[], object] = field(default=lambda: None)
    """The action that is called before the request is executed."""


class Faults:
    """The faults that are planned. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[PlannedFault] = []
        self.latency_seconds = 0.0
        """Seconds by which each response is delayed."""

    def answer_next(
        self,
        status: int,
        times: int = 1,
        *,
        method: str = "",
        path: str = ".*",
        headers: Mapping[str, str] | None = None,
        content: object = None,
    ) -> None:
        """Answer the next requests with a status and do not execute them.

        Args:
            status: The status of the response.
            times: The number of requests.
            method: Only requests with this method; any method if empty.
            path: Only requests whose whole path, without ``/api``, matches this expression.
            headers: The headers of the response.
            content: The response's JSON.
        """
        answer = Response(status, content if content is not None else {"message": "planned"}, headers or {})
        self._plan(PlannedFault(Fault.ANSWER, times, method, re.compile(path), answer))

    def lose_request(self, times: int = 1, *, method: str = "", path: str = ".*") -> None:
        """Close the connection of the next requests and do not execute them."""
        self._plan(PlannedFault(Fault.LOSE_REQUEST, times, method, re.compile(path)))

    def lose_answer(self, times: int = 1, *, method: str = "", path: str = ".*") -> None:
        """Execute the next requests, and close their connection without a response."""
        self._plan(PlannedFault(Fault.LOSE_ANSWER, times, method, re.compile(path)))

    def do_before(self, action: Callable[[], object], *, method: str = "", path: str = ".*") -> None:
        """Call ``action`` before the next request is executed, as if a person acted at that moment."""
        self._plan(PlannedFault(Fault.WAIT, 1, method, re.compile(path), first=action))

    def next(self, request: ReceivedRequest) -> PlannedFault | None:
        """Return the fault of a request, and count it."""
        with self._lock:
            for planned in self._planned:
                if planned.method in ("", request.method) and planned.path.fullmatch(request.path):
                    planned.times -= 1
                    if planned.times == 0:
                        self._planned.remove(planned)
                    return planned
        return None

    def _plan(self, fault: PlannedFault) -> None:
        with self._lock:
            self._planned.append(fault)
