"""Reads tenants' MLflow servers, keeps one canonical record per model version, and judges it.

The rooms of this package, in the order in which the data passes through them:
``tenants`` (who is synced), ``connector`` (MLflow over REST, read only), ``artifacts`` (which files
exist, and their hashes), ``normalizer`` (the canonical record), ``compliance`` (verdicts),
``persistence`` (Postgres), ``audit`` (the trail). ``pipeline`` joins them, one module a stage;
``defs`` shows the stages to Dagster as assets, and ``cli`` to a terminal.
"""

TYPE_CHECKING = False
"""As type checkers take it: every process of the sandbox begins with this file, and needs no ``typing``."""

__version__: str
"""Of the installed package. Looked up when it is asked for: that takes as long as all else a process there needs."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version

        return version("verifywise-mlflow")
