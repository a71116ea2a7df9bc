"""Reads tenants' MLflow servers, stores one canonical record per model version, and evaluates governance rules on it.

Data passes through the packages in this order: ``tenants`` (tenants.yaml), ``connector`` (MLflow over REST, read-only),
``artifacts`` (files and their hashes), ``redaction`` (secrets and personal data), ``normalizer`` (the canonical
record), ``compliance`` (verdicts), ``persistence`` (Postgres), ``audit`` (the audit trail). ``pipeline`` runs these
packages as six stages. ``defs`` exposes the stages to Dagster, and ``cli`` exposes them to a terminal. ``api`` gives
Python code read access to the store. docs/architecture.md describes the packages, and docs/reference/python.md
describes the names in ``__all__``.
"""

TYPE_CHECKING = False
"""Type checkers take this name as true, like ``typing.TYPE_CHECKING``. It is not imported from ``typing``, since every
sandbox process imports this file first and does not need ``typing``."""

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
"""The version of the installed package. The version is looked up only on access: the lookup takes as long as the rest
of a sandbox process's start."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a name on first use: the public API takes half a second, and most processes do not use it."""
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
