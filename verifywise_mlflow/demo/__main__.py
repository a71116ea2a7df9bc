"""``python -m verifywise_mlflow.demo``, where the script ``verifywise-mlflow`` is not on the PATH."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from verifywise_mlflow.demo.run import run_demo


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo with command-line arguments."""
    description = "Start all servers, sync two tenants and print the results."
    parser = argparse.ArgumentParser(prog="python -m verifywise_mlflow.demo", description=description)
    parser.add_argument(
        "--once", action="store_true", help="exit after the summary instead of keeping the servers running"
    )
    parser.add_argument("--fresh", action="store_true", help="delete an earlier demo first")
    parser.add_argument("--deliver", action="store_true", help="deliver the results to a server with VerifyWise's API")
    parser.add_argument("--home", type=Path, default=Path(".demo"), help="the folder of the demo's databases and files")
    arguments = parser.parse_args(argv)
    return run_demo(arguments.home, once=arguments.once, fresh=arguments.fresh, delivers=arguments.deliver)


if __name__ == "__main__":
    sys.exit(main())
