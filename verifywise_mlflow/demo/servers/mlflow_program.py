"""MLflow's command line, with a command ``server`` that serves in the same process. ``MlflowServer`` runs it.

MLflow starts uvicorn as a second process, which imports all of MLflow again. This takes half of a start's CPU time.
``--static-prefix`` has no effect here: MLflow reads it from the environment during its import, before the option's
value is set there.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from fastapi import FastAPI

PROGRAM: Final = (sys.executable, "-m", __spec__.name if __spec__ else __name__)


def main(prepare: Callable[[FastAPI], None] = lambda _app: None) -> None:
    """Run MLflow's command line.

    Args:
        prepare: Called with the application before it serves.
    """
    gc.disable()  # during the imports: the imported objects are never freed
    from mlflow import server
    from mlflow.cli import cli

    def serve_here(command: Sequence[str], *, extra_env: Mapping[str, str], **_: object) -> NoReturn:
        """Run the command that MLflow would start. It is uvicorn, with the arguments after the name."""
        import uvicorn

        os.environ.update(extra_env)
        from mlflow.server import fastapi_app  # the module that uvicorn would import

        prepare(fastapi_app.app)
        gc.freeze()
        gc.enable()
        gc.set_threshold(20_000, 50, 20)
        uvicorn.main(command[command.index("uvicorn") + 1 :])
        sys.exit()

    setattr(server, "_exec_cmd", serve_here)  # noqa: B010  # MLflow does not export it
    cli()


if __name__ == "__main__":
    main()
