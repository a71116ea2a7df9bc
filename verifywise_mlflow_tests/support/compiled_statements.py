"""Compiles a SQL statement once per process instead of once for each store that a test opens.

SQLAlchemy caches compiled statements by engine and dialect. A process of the product opens one store; the tests open
thousands, and would spend a quarter of their time on compiling the same statements again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, Engine, create_engine

from verifywise_mlflow.persistence import database
from verifywise_mlflow_tests.support.warm_connections import keep_connections

_engines: list[Engine] = []
"""The newest engine until one engine has connected; afterward, the connected engine."""


def share_compiled_statements() -> None:
    """Give the engines of all stores the dialect and the compiled statements of the first one that connected.

    All engines connect to servers of the same version, with the same options.
    """
    setattr(database, "create_engine", _create_engine)  # noqa: B010  # the module does not export it


def _create_engine(*arguments: Any, **options: Any) -> Engine:
    engine = create_engine(*arguments, **options)
    keep_connections(engine)
    if _engines and _is_initialized(_engines[0].dialect):
        engine.dialect = _engines[0].dialect
        engine._compiled_cache = _engines[0]._compiled_cache
    else:
        _engines[:] = [engine]
    return engine


def _is_initialized(dialect: Dialect) -> bool:
    """Return whether a first connection has set the version of the server."""
    return getattr(dialect, "server_version_info", None) is not None
