"""Writes hints in short transactions, on a few threads, and gives up waiting when the database does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final, TypeVar

from verifywise_mlflow.listener.event import Event
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.listener_privileges import missing_privileges
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.store import Store

THREADS: Final = 4
"""The maximum number of concurrent transactions. Each usually takes a few milliseconds."""

WAIT_S: Final = 8
"""Seconds after which a delivery that waits for the database gets a 503. By default, MLflow waits for 30 seconds."""

T = TypeVar("T")


class DatabaseSlowError(DatabaseError):
    """The database did not answer in time. It may still write the hint."""

    retryable = True


class HintWriter:
    """Writes hints into the database, and checks whether it can write them."""

    def __init__(self, store: Store) -> None:
        """Use a store, whose role needs only the privileges that ``db grant listener`` grants."""
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, "hints")
        self._free_threads = asyncio.Semaphore(THREADS)

    def close(self) -> None:
        """Wait for the open transactions."""
        self._threads.shutdown()

    async def write(self, tenant_id: str, delivery_id: str, event: Event, now: datetime) -> bool:
        """Write the hints of a delivery; return False if it was recorded before, within ``change_hints.REPLAY_WINDOW``.

        Raises:
            DatabaseError: the database cannot be used now.
        """
        return await self._call(lambda: self._write(tenant_id, delivery_id, event, now))

    async def check(self) -> None:
        """Check whether hints can be written.

        Raises:
            DatabaseError: the database cannot be used, or the role lacks a privilege.
        """
        await self._call(self._check)

    def _write(self, tenant_id: str, delivery_id: str, event: Event, now: datetime) -> bool:
        with self._store.begin(tenant_id) as session:
            if not change_hints.is_new_delivery(session, delivery_id, event.objects, now):
                return False
            change_hints.record(session, event.objects, now)
            change_hints.record_delivery(session, now, is_event=not event.is_test)
            return True

    def _check(self) -> None:
        with self._store.begin_shared() as connection:
            if missing := missing_privileges(connection):
                raise DatabaseError(
                    f"the database role may not use {', '.join(missing)}: the schema's owner grants access with "
                    "verifywise-mlflow db grant listener"
                )

    async def _call(self, function: Callable[[], T]) -> T:
        # A thread that waits for the database cannot be interrupted. It stays busy, and no other thread replaces it.
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free_threads.acquire()
                call = asyncio.get_running_loop().run_in_executor(self._threads, function)
                call.add_done_callback(lambda _: self._free_threads.release())
                return await asyncio.shield(call)
        except TimeoutError:
            raise DatabaseSlowError(f"the database did not answer within {WAIT_S} s") from None
