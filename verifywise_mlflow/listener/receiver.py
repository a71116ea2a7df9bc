"""Checks each delivery: path, rate, deliveries in progress, type, size, signature, time, content, workspace, database.

Nothing in a body is interpreted before its signature was verified.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from math import ceil
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from verifywise_mlflow.listener.event import Event, MalformedEventError, read_event
from verifywise_mlflow.listener.hint_writer import HintWriter
from verifywise_mlflow.listener.outcomes import Outcome, Outcomes, Reply
from verifywise_mlflow.listener.rate_limit import TokenBucket
from verifywise_mlflow.listener.routes import Route, Routes
from verifywise_mlflow.listener.signature import (
    MAX_CLOCK_DIFFERENCE_S,
    DeliveryHeaders,
    clock_difference,
    delivery_headers,
    is_genuine,
)
from verifywise_mlflow.persistence.errors import DatabaseError

MAX_BODY_BYTES: Final = 1024**2
"""The largest body. Most events have 0.3 kB. A tag of MLflow 3.17 has up to 100,000 characters, which take up to 0.6 MB
in JSON, and twice as much outside of Unicode's basic plane."""

BODY_TIMEOUT_S: Final = 10
"""Seconds until a body must have arrived."""

MAX_IN_PROGRESS: Final = 64
"""The maximum number of deliveries in progress in this process, and so of bodies that are read at the same time."""

MAX_IN_PROGRESS_PER_TENANT: Final = 16
"""The maximum number of deliveries of one tenant in progress. By default, each process of MLflow sends up to 10 at the
same time."""

UNKNOWN_PATHS_PER_MINUTE: Final = 60
"""The number of requests to unknown paths per minute, on average, that get a 404. Further requests get a 429."""

NOT_FOUND: Final = "Not Found"


class Receiver:
    """Receives the deliveries of all tenants. Its limits apply to this process; the database detects replays."""

    def __init__(
        self,
        routes: Routes,
        writer: HintWriter,
        outcomes: Outcomes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Store the parts that the receiver uses. ``clock`` returns Unix seconds."""
        self._routes = routes
        self._writer = writer
        self._outcomes = outcomes
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}
        self._unknown_paths = TokenBucket(UNKNOWN_PATHS_PER_MINUTE, time.monotonic())
        self._in_progress: dict[str, int] = {}

    async def respond(self, request: Request) -> Response:
        """Answer a request to ``/mlflow/{path}``."""
        route = self._routes.find(request.path_params["path"])
        if route is None:
            self._outcomes.count_unknown_path()
            wait = self._unknown_paths.take(time.monotonic())
            return _too_many(wait) if wait else PlainTextResponse(NOT_FOUND, 404)
        reply = await self._admit(route, request)
        self._outcomes.count(route.tenant_id, reply.outcome)
        headers = {"Retry-After": str(reply.retry_after_s)} if reply.retry_after_s else {}
        if reply.outcome in (Outcome.TOO_LARGE, Outcome.TOO_SLOW):
            headers["Connection"] = "close"  # the rest of the body is not read
        return PlainTextResponse(reply.text, reply.status, headers)

    async def _admit(self, route: Route, request: Request) -> Reply:
        """Answer a delivery within the limits of its tenant and of this process."""
        wait = self._bucket(route).take(time.monotonic())
        if wait:
            self._outcomes.log(
                route.tenant_id,
                "rate",
                f"{route.tenant_id} sends more than {route.events_per_minute} events a minute, or somebody else does "
                "who knows its path: the others are answered with 429. Raise webhooks.events_per_minute, or give the "
                "tenant another webhooks.path",
            )
            return Reply(Outcome.RATE_LIMITED, 429, "Too many events: send this one again later.", ceil(wait))
        of_tenant = self._in_progress.get(route.tenant_id, 0)
        if of_tenant >= MAX_IN_PROGRESS_PER_TENANT or sum(self._in_progress.values()) >= MAX_IN_PROGRESS:
            return Reply(Outcome.BUSY, 503, "Too many deliveries are in progress: send this one again later.", 1)
        self._in_progress[route.tenant_id] = of_tenant + 1
        try:
            return await self._receive(route, request)
        finally:
            self._in_progress[route.tenant_id] -= 1

    async def _receive(self, route: Route, request: Request) -> Reply:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Reply(Outcome.MALFORMED, 415, "MLflow's events have the type application/json.")
        try:
            body = await _read_body(request)
        except (TimeoutError, ClientDisconnect):
            return Reply(Outcome.TOO_SLOW, 408, f"The body did not arrive within {BODY_TIMEOUT_S} s.")
        if body is None:
            return Reply(Outcome.TOO_LARGE, 413, f"The event has more than {MAX_BODY_BYTES:,} bytes.")
        headers = delivery_headers(request.headers)
        if headers is None or not is_genuine(headers, body, route.secrets):
            self._outcomes.log(
                route.tenant_id,
                "signature",
                f"a delivery to the path of {route.tenant_id} has a wrong signature or none: either it is forged, or "
                "the webhook in MLflow has another secret than webhooks.secret",
            )
            return Reply(
                Outcome.BAD_SIGNATURE, 401, "The signature is missing or wrong: does the webhook have the right secret?"
            )
        return await self._interpret(route, headers, body)

    async def _interpret(self, route: Route, headers: DeliveryHeaders, body: bytes) -> Reply:
        """Answer a delivery whose signature is valid."""
        now = self._clock()
        difference = clock_difference(headers, now)
        if abs(difference) > MAX_CLOCK_DIFFERENCE_S:
            side = "ago" if difference > 0 else "in the future"
            signed = f"was signed {abs(difference):.0f} s {side}, and the limit is {MAX_CLOCK_DIFFERENCE_S} s"
            self._outcomes.log(
                route.tenant_id,
                "time",
                f"a delivery of {route.tenant_id} {signed}. Either it was sent again by somebody who recorded it, or a "
                "proxy held it back, or a clock is wrong: compare those of MLflow's server and of this machine",
            )
            return Reply(Outcome.LATE, 401, f"The delivery {signed}: are both clocks right?")
        try:
            event = read_event(body)
        except MalformedEventError as error:
            return Reply(Outcome.MALFORMED, 400, f"This is not an event of MLflow: {error}.")
        if event.workspace is not None and event.workspace != route.workspace:
            return Reply(Outcome.OTHER_WORKSPACE, 422, "This address is for the events of another workspace.")
        try:
            is_new = await self._writer.write(
                route.tenant_id, headers.delivery_id, event, datetime.fromtimestamp(now, UTC)
            )
        except DatabaseError as error:
            self._outcomes.log("the database", type(error).__name__, f"no delivery is accepted: {error}")
            return Reply(Outcome.DATABASE_UNAVAILABLE, 503, "The database is unavailable: send this again later.", 1)
        outcome = _outcome(event) if is_new else Outcome.REPEATED
        return Reply(outcome, 202, f"{outcome.value.capitalize()}.")

    def _bucket(self, route: Route) -> TokenBucket:
        bucket = self._buckets.get(route.tenant_id)
        if bucket is None or bucket.per_minute != route.events_per_minute:
            bucket = self._buckets[route.tenant_id] = TokenBucket(route.events_per_minute, time.monotonic())
        return bucket


def _outcome(event: Event) -> Outcome:
    if event.is_test:
        return Outcome.TEST
    return Outcome.ACCEPTED if event.objects else Outcome.IGNORED


def _too_many(wait_s: float) -> Response:
    return PlainTextResponse("Too many requests", 429, {"Retry-After": str(ceil(wait_s))})


async def _read_body(request: Request) -> bytes | None:
    """Return the body; None if it is too large. Reading stops at the limit.

    Raises:
        TimeoutError: the body did not arrive in time.
        ClientDisconnect: the sender closed the connection.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
        return None
    body = bytearray()
    async with asyncio.timeout(BODY_TIMEOUT_S):
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return None
    return bytes(body)
