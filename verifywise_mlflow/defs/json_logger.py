"""What runs of Dagster log to standard error, as JSON like all other log lines. Dagster's pages are not affected."""

from __future__ import annotations

import logging

import dagster as dg

from verifywise_mlflow.observability.json_logs import JsonHandler


@dg.logger(description="Each record as a line of JSON, with its run and step.")
def json_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Return a logger of its own, outside of Python's hierarchy: no record is written twice."""
    del context
    run_logger = logging.Logger("dagster", logging.INFO)
    run_logger.addHandler(JsonHandler())
    return run_logger
