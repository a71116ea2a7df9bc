"""The Celery application that the launcher and the workers share: one queue with priorities, messages with a run ID.

The broker's URL comes from the environment in every process. ``dagster-celery`` would write it, with its password, into
a file below DAGSTER_HOME for each worker that it starts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery
from dagster_celery.make_app import make_app

from verifywise_mlflow.defs.run_queue.priorities import MANUAL_PRIORITY, SCHEDULE_PRIORITY, SENSOR_PRIORITY

BROKER_URL: Final = "VERIFYWISE_BROKER_URL"
"""The environment variable with the broker's URL: ``redis://:password@host:6379/0`` or
``amqp://user:password@host:5672//``."""
QUEUE: Final = "dagster"
"""The queue that ``dagster_celery`` declares with priorities."""
TASK: Final = "verifywise_mlflow.execute_run"

_REDIS_SCHEMES: Final = ("redis", "rediss", "sentinel")
_LEVELS: Final = ((MANUAL_PRIORITY, 9), (SENSOR_PRIORITY, 6), (SCHEDULE_PRIORITY, 3))
"""For each priority of a message, the lowest priority of a run whose message has this priority. Messages have few
priorities, since Redis has a list for each. The message of a targeted sync has the same priority as the message of a
sensor's run. Messages of runs with a lower priority, such as backfills, have the priority 0."""

_SETTINGS: Final[Mapping[str, object]] = {
    "accept_content": ["json"],
    "task_serializer": "json",
    "task_ignore_result": True,  # the state of a run is in Dagster's database
    # A message is acknowledged after its run. Otherwise each process would reserve one more message, which would wait
    # for that process even if another process is idle.
    "task_acks_late": True,
    "worker_prefetch_multiplier": 1,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # Runs are canceled through Dagster's database. No message from the broker controls a worker.
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_redirect_stdouts": False,  # Dagster captures the output of runs by its file descriptors
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    # If the broker restarts, a launch is delayed by at most half a minute.
    "task_publish_retry_policy": {"max_retries": 12, "interval_start": 0.1, "interval_step": 0.5, "interval_max": 3},
}
_REDIS_OPTIONS: Final[Mapping[str, object]] = {
    "priority_steps": [0, 3, 6, 9],
    # Redis delivers an unacknowledged message again after this time, in seconds. A run that has started is not started
    # again, so a repeated message of a longer run does no harm.
    "visibility_timeout": 3_600,
    "socket_connect_timeout": 5,
    "socket_timeout": 20,
    "socket_keepalive": True,
}
_AMQP_OPTIONS: Final[Mapping[str, object]] = {"confirm_publish": True, "connect_timeout": 5}


class BrokerNotConfiguredError(Exception):
    """The environment has no broker URL."""


def broker_url(environment: Mapping[str, str] = os.environ) -> str:
    """Return the broker's URL.

    Raises:
        BrokerNotConfiguredError: the variable is not set.
    """
    url = environment.get(BROKER_URL)
    if not url:
        raise BrokerNotConfiguredError(
            f"set the environment variable {BROKER_URL} to redis://:password@host:6379/0 or "
            "amqp://user:password@host:5672//"
        )
    return url


def make_celery(url: str) -> Celery:
    """Return an application for a worker. It does not connect yet."""
    app: Celery = make_app({"broker": url, "task_default_queue": QUEUE})  # type: ignore[no-untyped-call]
    configure(app, url)
    return app


def configure(app: Celery, url: str) -> None:
    """Apply the settings that the launcher and the workers share."""
    options: Mapping[str, Any] = _REDIS_OPTIONS if _is_redis(url) else _AMQP_OPTIONS
    app.conf.update(_SETTINGS, broker_transport_options=dict(options))


def message_priority(run_priority: int, url: str) -> int:
    """Return the priority of a run's message. In RabbitMQ the highest number comes first, in Redis the lowest."""
    level = next((level for lowest, level in _LEVELS if run_priority >= lowest), 0)
    return 9 - level if _is_redis(url) else level


def _is_redis(url: str) -> bool:
    return urlsplit(url).scheme.partition("+")[0] in _REDIS_SCHEMES
