"""``verifywise-mlflow metrics``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import err, fail
from verifywise_mlflow.observability.export_settings import export_problem, is_exported
from verifywise_mlflow.observability.tracing import MISSING_SDK
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.metrics.collector import MetricsCollector
from verifywise_mlflow.services.metrics.endpoint import serve
from verifywise_mlflow.services.metrics.prometheus import exposition
from verifywise_mlflow.services.metrics.queue_state import QueueState
from verifywise_mlflow.tenants.loading import load_tenants

app = typer.Typer()

PORT = 9464
"""OpenTelemetry's default for endpoints that Prometheus scrapes."""


@app.command()
def metrics(
    host: Annotated[
        str, typer.Option(help="The address to listen on. Metrics name tenants: keep them off public networks.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65535)] = PORT,
    interval: Annotated[float, typer.Option(help="Seconds between two readings of the database.", min=1)] = 30,
    once: Annotated[bool, typer.Option("--once", help="Print the metrics and exit, without serving them.")] = False,
) -> None:
    """Serve metrics of all tenants to Prometheus.

    One process for the whole installation. It reads the database, and Dagster's if DAGSTER_HOME is set. With OTEL_*
    variables, it also pushes the metrics to an OpenTelemetry collector.
    """
    with exit_on_errors(as_json=False):
        load_tenants()  # an invalid file ends the command now; a later error is logged and shown as a metric
        with Store(database_url()) as store:
            collector = MetricsCollector(store, load_tenants, _queue_reader())
            collector.read()
            if once:
                sys.stdout.write(exposition(collector))
                return
            with _push(collector), _listen(collector, host, port) as bound_port:
                shown_host = f"[{host}]" if ":" in host else host
                err.print(f"Serving metrics at http://{shown_host}:{bound_port}/metrics", highlight=False)
                while True:
                    time.sleep(interval)
                    collector.read()


@contextmanager
def _listen(collector: MetricsCollector, host: str, port: int) -> Iterator[int]:
    try:
        with serve(collector, host, port) as bound_port:
            yield bound_port
    except OSError as error:
        fail(f"cannot listen on {host}, port {port}: {error.strerror}", FAILED, as_json=False)


@contextmanager
def _push(collector: MetricsCollector) -> Iterator[None]:
    if problem := export_problem("metrics", os.environ):
        err.print(f"{problem}. No metrics are pushed", style="yellow", highlight=False)
    if not is_exported("metrics", os.environ):
        yield
        return
    try:
        from verifywise_mlflow.services.metrics.otlp import MetricsPush
    except ImportError:
        err.print(MISSING_SDK, style="yellow", highlight=False)
        yield
        return
    push = MetricsPush(collector)
    try:
        yield
    finally:
        push.close()


def _queue_reader() -> Callable[[], QueueState] | None:
    if not os.environ.get("DAGSTER_HOME"):
        return None
    from verifywise_mlflow.defs.run_queue.queue_reading import QueueReader  # Dagster: 1.5 s

    return QueueReader()
