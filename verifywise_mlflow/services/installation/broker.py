"""Checks the broker between Dagster and its workers. The health check of a worker uses the same connection test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from verifywise_mlflow.services.installation.finding import Finding

BROKER_URL: Final = "VERIFYWISE_BROKER_URL"
LAUNCHER: Final = "VERIFYWISE_LAUNCHER"
TIMEOUT: Final = 5
"""Seconds after which a broker that does not respond counts as unreachable."""


def broker_problem(url: str) -> str | None:
    """Return why the broker cannot be used; None if it can be used. The text omits its URL, which has the password."""
    if not url:
        return f"{BROKER_URL} is not set"
    kombu = import_module("kombu")  # Celery's client, which only workers need
    try:
        with kombu.Connection(url, connect_timeout=TIMEOUT) as connection:
            connection.ensure_connection(max_retries=1, timeout=TIMEOUT)
    except Exception as error:  # noqa: BLE001  # each transport has errors of its own
        return f"The broker does not accept connections: {type(error).__name__}"  # the error's text has the URL
    return None


def check_broker(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the finding; no finding if runs do not go through a broker."""
    url = environment.get(BROKER_URL) or ""
    if not url and environment.get(LAUNCHER) != "celery":
        return
    if find_spec("dagster_celery") is None:
        remedy = "install the extra: pip install 'verifywise-mlflow[celery]'"
        yield Finding("broker", "problem", "a broker is configured, and Celery is not installed", remedy)
    elif found := broker_problem(url):
        remedy = f"start the broker, or correct the address and the password in {BROKER_URL}"
        yield Finding("broker", "problem", found, remedy)
    else:
        yield Finding("broker", "ok", "accepts connections")
