"""The ASGI application: deliveries, health and metrics."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from verifywise_mlflow.listener.hint_writer import HintWriter
from verifywise_mlflow.listener.outcomes import Outcomes
from verifywise_mlflow.listener.receiver import NOT_FOUND, Receiver
from verifywise_mlflow.listener.routes import Routes
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.store import Store

_log = logging.getLogger(__name__)

RELOAD_INTERVAL_S: Final = 5
"""Seconds after which the listener reads the secrets again, and also tenants.yaml if the file has changed."""

_READINESS_LIFETIME_S: Final = 2
"""Seconds for which the result of a database check is reused: anybody may send probes."""


def create_app(store: Store, routes: Routes) -> Starlette:
    """Return the application."""
    outcomes = Outcomes()
    outcomes.describe_routes(len(routes), is_current=routes.is_current)
    writer = HintWriter(store)
    readiness = _Readiness(writer)

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("The listener runs.\n")

    async def readyz(_request: Request) -> Response:
        if await readiness.is_ready():
            return PlainTextResponse("Hints can be written.\n")
        return PlainTextResponse("The database cannot be used: the log of the listener says why.\n", 503)

    async def metrics(_request: Request) -> Response:
        return Response(outcomes.exposition(), media_type="text/plain; version=0.0.4")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        reloading = asyncio.create_task(_keep_current(routes, outcomes))
        yield
        reloading.cancel()
        with suppress(asyncio.CancelledError):
            await reloading
        await asyncio.to_thread(writer.close)

    app = Starlette(
        routes=[
            Route("/mlflow/{path}", Receiver(routes, writer, outcomes).respond, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ],
        exception_handlers={404: _not_found},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


class _Readiness:
    """Reports whether hints could be written at the last check, which is repeated every two seconds at most."""

    def __init__(self, writer: HintWriter) -> None:
        self._writer = writer
        self._lock = asyncio.Lock()
        self._checked_at = -1.0 * _READINESS_LIFETIME_S
        self._problem = ""

    async def is_ready(self) -> bool:
        async with self._lock:
            if time.monotonic() - self._checked_at >= _READINESS_LIFETIME_S:
                await self._check()
        return not self._problem

    async def _check(self) -> None:
        try:
            await self._writer.check()
            problem = ""
        except DatabaseError as error:
            problem = str(error)
        if problem and problem != self._problem:
            _log.error("the listener is not ready: %s", problem)
        self._problem = problem
        self._checked_at = time.monotonic()


async def _keep_current(routes: Routes, outcomes: Outcomes) -> None:
    while True:
        await asyncio.sleep(RELOAD_INTERVAL_S)
        try:
            await asyncio.to_thread(routes.reload)
        except Exception:  # noqa: BLE001  # otherwise no later change is read, and nobody notices
            _log.exception("the tenants cannot be read again")
        outcomes.describe_routes(len(routes), is_current=routes.is_current)


async def _not_found(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse(NOT_FOUND, 404)
