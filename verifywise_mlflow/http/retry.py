"""The retry policy: exponential back-off (backoff) with jitter, within a retry budget.

A retryable failure, such as a lost connection or a rate limit (429), is retried after ``Retry-After``, or after a
random back-off (full jitter). The maximum of this back-off starts at twice ``BACK_OFF_BASE_SECONDS`` and doubles with
each attempt. Three of the ``Limits`` in ``settings.py`` bound retries: ``max_attempts`` of the request,
``retry_deadline_seconds`` since the first attempt of the request, and ``retry_budget_seconds`` over all retries of the
connection. When a limit is reached, the failure is recorded with the circuit breaker.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from verifywise_mlflow.http.circuit_breaker import CircuitBreaker
from verifywise_mlflow.http.errors import DeadlineExceededError, HttpError, UnauthenticatedError
from verifywise_mlflow.http.settings import Limits

T = TypeVar("T")

BACK_OFF_BASE_SECONDS = 0.5
"""The unit of the back-off. After n attempts, the back-off is random, with a maximum of this number of seconds times 2
to the power of n."""


class RetryPolicy:
    """Retries the requests of one connection, which share one retry budget. Threads may share an instance."""

    def __init__(self, limits: Limits, breaker: CircuitBreaker) -> None:
        self._limits = limits
        self._breaker = breaker
        self._lock = threading.Lock()
        self._budget_spent = 0.0

    def call(self, attempt: Callable[[], T], renew: Callable[[], bool], *, reads_body: bool = True) -> T:
        """Call ``attempt`` until it succeeds or the policy allows no further call; return its result.

        Args:
            attempt: sends the request once.
            renew: renews the credentials after a 401; returns whether another attempt may succeed.
            reads_body: whether a successful attempt has read the whole response. If not, the caller passes the body
                through ``CircuitBreaker.watch``, which records the outcome.

        Raises:
            HttpError: the error of the last attempt, or ``CircuitOpenError``.
        """
        self._breaker.check()
        started = time.monotonic()
        attempts, has_renewed = 1, False
        while True:
            attempt_started = time.monotonic()
            try:
                result = attempt()
            except DeadlineExceededError:
                raise  # the server is not the cause of the error
            except UnauthenticatedError as error:
                if has_renewed or not renew():
                    self._breaker.record_failure(error, started)
                    raise
                has_renewed = True
            except HttpError as error:
                now = time.monotonic()
                delay = self.charge_back_off(
                    error, attempts=attempts, elapsed=now - started, last_attempt_took=now - attempt_started
                )
                if delay is None:
                    self._breaker.record_failure(error, started)
                    raise
                attempts += 1
                time.sleep(delay)
            else:
                if reads_body:
                    self._breaker.record_success()
                return result

    def charge_back_off(
        self, error: HttpError, *, attempts: int, elapsed: float, last_attempt_took: float
    ) -> float | None:
        """Charge the wait before the next attempt to the retry budget; return the seconds to wait.

        Returns:
            The seconds, or None if no further attempt is allowed.

        Args:
            error: the error of the last attempt.
            attempts: the number of attempts so far.
            elapsed: seconds since the first attempt started.
            last_attempt_took: the seconds of the last attempt, which count against the retry budget.
        """
        if not error.retryable or attempts >= self._limits.max_attempts:
            return None
        jitter = random.uniform(0, BACK_OFF_BASE_SECONDS * 2**attempts)  # noqa: S311  # no secret
        delay = jitter if error.retry_after is None else error.retry_after
        with self._lock:
            self._budget_spent += last_attempt_took
            # In a half-open circuit, a single attempt decides whether the server is back.
            if self._breaker.has_tripped or elapsed + delay > self._limits.retry_deadline_seconds:
                return None
            if self._budget_spent + delay > self._limits.retry_budget_seconds:
                return None
            self._budget_spent += delay
        return delay
