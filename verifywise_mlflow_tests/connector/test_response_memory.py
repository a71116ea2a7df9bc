"""The lock on large responses: all threads together process one large response at a time, never during a request."""

from __future__ import annotations

import threading

import pytest

from verifywise_mlflow.connector.response_memory import LARGE_RESPONSE_BYTES, ResponseMemory
from verifywise_mlflow.http.errors import LimitExceededError

LARGE = LARGE_RESPONSE_BYTES + 1
SECONDS = 5.0


class OtherThread:
    """Claims the lock for a large response, and releases it at once."""

    def __init__(self, memory: ResponseMemory) -> None:
        self.claimed = threading.Event()
        self._memory = memory
        threading.Thread(target=self._claim, daemon=True).start()

    def _claim(self) -> None:
        with self._memory():
            self._memory.claim(LARGE)
            self.claimed.set()


def refuse(memory: ResponseMemory) -> None:
    with memory():
        memory.claim(LARGE)
        raise LimitExceededError("more values than allowed")


def test_a_large_response_waits_until_the_one_of_another_thread_is_parsed() -> None:
    memory = ResponseMemory()

    with memory():
        with memory():
            memory.claim(LARGE)
        other = OtherThread(memory)
        waited = not other.claimed.wait(0.1)

    assert waited
    assert other.claimed.wait(SECONDS)


def test_a_response_that_is_refused_frees_the_lock_before_the_next_request() -> None:
    memory = ResponseMemory()

    with memory():
        with pytest.raises(LimitExceededError):
            refuse(memory)

        assert OtherThread(memory).claimed.wait(SECONDS), "a slow server would stop the reads of all others"
