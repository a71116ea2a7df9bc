"""Reads tenants' MLflow servers, stores one canonical record per model version, and evaluates governance rules on it.

The packages, in the order in which data passes through them: ``tenants`` (tenants.yaml), ``connector`` (MLflow over
REST, read-only), ``artifacts`` (files and their hashes), ``redaction`` (secrets and personal data), ``normalizer`` (the
canonical record), ``compliance`` (verdicts), ``persistence`` (Postgres), ``audit`` (the audit trail). ``pipeline`` runs
them as six stages; ``defs`` exposes the stages to Dagster and ``cli`` to a terminal. See docs/architecture.md.
"""

TYPE_CHECKING = False
"""As type checkers read it. Every sandbox process imports this file first and does not need ``typing``."""

__version__: str
"""The version of the installed package. Looked up on access, since that takes as long as the rest of a sandbox process
needs to start."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version

        return version("verifywise-mlflow")
