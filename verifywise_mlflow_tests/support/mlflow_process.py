"""``mlflow_program`` without the work of requests that no test needs. ``MlflowServer`` runs it as its program."""

from __future__ import annotations

import base64
import secrets
import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from verifywise_mlflow.demo.servers import mlflow_program

if TYPE_CHECKING:
    from fastapi import FastAPI

WEBHOOK_VARIABLES: Final[Mapping[str, str]] = {
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "0",  # a new webhook is used at once, and by its own workspace only
}
"""The variables with which a server of MLflow delivers to a listener on this machine."""

PROGRAM: Final = (sys.executable, "-m", __spec__.name if __spec__ else __name__)


def _cut_cost_of_requests(app: FastAPI) -> None:
    """Omit work that no test needs: a quarter of the cost of each request.

    MLflow reads the workspace of each request from its database; the tests neither change nor delete a workspace.
    MLflow also measures the time of gateways, and starts a task for each request to do so.
    """
    from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore

    remembering = cache(SqlAlchemyStore.get_workspace)  # but no error
    SqlAlchemyStore.get_workspace = remembering  # type: ignore[method-assign]
    app.user_middleware[:] = [
        middleware
        for middleware in app.user_middleware
        if getattr(middleware.kwargs.get("dispatch"), "__name__", "") != "gateway_timing_middleware"
    ]


if __name__ == "__main__":
    mlflow_program.main(_cut_cost_of_requests)
