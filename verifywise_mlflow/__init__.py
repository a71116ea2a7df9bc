"""Reads tenants' MLflow servers, stores one canonical record per model version, and evaluates governance rules on it.

The packages, in the order in which data passes through them: ``tenants`` (tenants.yaml), ``connector`` (MLflow over
REST, read-only), ``artifacts`` (files and their hashes), ``redaction`` (secrets and personal data), ``normalizer`` (the
canonical record), ``compliance`` (verdicts), ``persistence`` (Postgres), ``audit`` (the audit trail). ``pipeline`` runs
them as six stages; ``defs`` exposes the stages to Dagster and ``cli`` to a terminal; ``api`` gives Python code read
access to the store. docs/architecture.md describes the packages, docs/reference/python.md the names in ``__all__``.
"""

TYPE_CHECKING = False
"""As type checkers read it. Every sandbox process imports this file first and does not need ``typing``."""

if TYPE_CHECKING:
    from verifywise_mlflow.api import (
        Client,
        InvalidArgumentError,
        Lineage,
        MissingExtraError,
        NotFoundError,
        StoreError,
        Verdict,
        VerifyWiseError,
        VersionRecord,
        connect,
    )

__all__ = [
    "Client",
    "InvalidArgumentError",
    "Lineage",
    "MissingExtraError",
    "NotFoundError",
    "StoreError",
    "Verdict",
    "VerifyWiseError",
    "VersionRecord",
    "__version__",
    "connect",
]

__version__: str
"""The version of the installed package. It is looked up only on access: the lookup takes as long as the rest of the
start of a sandbox process."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Return what is imported on access: the public API takes half a second, and most processes do not use it."""
        if name == "__version__":
            from importlib.metadata import version

            globals()[name] = version("verifywise-mlflow")  # a sync's modules read it sixteen times
            return globals()[name]
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from verifywise_mlflow import api

        return getattr(api, name)

    def __dir__() -> list[str]:
        """Return the names of the public API, too."""
        return sorted({*globals(), *__all__})
