"""MLflow's command line, whose ``server`` serves in the same process: a program for ``MlflowServer``.

MLflow starts uvicorn as a second process, which imports all of MLflow again: half of the CPU time of a start.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

PROGRAM: Final = (sys.executable, "-m", __spec__.name if __spec__ else __name__)


def _serve_here(command: Sequence[str], *, extra_env: Mapping[str, str], **_: object) -> NoReturn:
    """Run the command that MLflow would start: uvicorn, whose arguments follow its name."""
    import uvicorn

    os.environ.update(extra_env)
    uvicorn.main(command[command.index("uvicorn") + 1 :])
    sys.exit()


if __name__ == "__main__":
    from mlflow import server
    from mlflow.cli import cli

    setattr(server, "_exec_cmd", _serve_here)  # noqa: B010  # MLflow does not export it
    cli()
