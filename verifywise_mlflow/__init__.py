"""Reads tenants' MLflow servers, keeps one canonical record per model version, and judges it.

The rooms of this package, in the order in which the data passes through them:
``tenants`` (who is synced), ``connector`` (MLflow over REST, read only), ``artifacts`` (which files
exist, and their hashes), ``normalizer`` (the canonical record), ``compliance`` (verdicts),
``persistence`` (Postgres), ``audit`` (the trail). ``pipeline`` joins them, one module a stage;
``defs`` shows the stages to Dagster as assets, and ``cli`` to a terminal.
"""

from importlib.metadata import version

__version__ = version("verifywise-mlflow")
