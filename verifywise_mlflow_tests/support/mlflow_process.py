"""MLflow's command line, whose ``server`` serves in the same process: a program for ``MlflowServer``.

MLflow starts uvicorn as a second process, which imports all of MLflow again: half of the CPU time of a start.
``--static-prefix`` has no effect here: MLflow reads it from the environment while it is imported, too early.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from fastapi import FastAPI

PROGRAM: Final = (sys.executable, "-m", __spec__.name if __spec__ else __name__)


def _serve_here(command: Sequence[str], *, extra_env: Mapping[str, str], **_: object) -> NoReturn:
    """Run the command that MLflow would start: uvicorn, whose arguments follow its name."""
    import uvicorn

    os.environ.update(extra_env)
    from mlflow.server import fastapi_app  # uvicorn would import it

    _cut_cost_of_requests(fastapi_app.app)
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 50, 20)
    uvicorn.main(command[command.index("uvicorn") + 1 :])
    sys.exit()


def _cut_cost_of_requests(app: FastAPI) -> None:
    """Omit a quarter of what each request costs and no test needs.

    MLflow reads the workspace of each request from its database; the tests neither change nor delete one. And it
    measures the time of gateways, for which each request gets a task of its own.
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
    gc.disable()  # during the imports, whose objects stay
    from mlflow import server
    from mlflow.cli import cli

    setattr(server, "_exec_cmd", _serve_here)  # noqa: B010  # MLflow does not export it
    cli()
