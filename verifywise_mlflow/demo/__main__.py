"""``python -m verifywise_mlflow.demo``, for those who have no ``verifywise-mlflow`` at hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from verifywise_mlflow.demo.run import run_demo


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo with the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m verifywise_mlflow.demo", description=run_demo.__doc__)
    parser.add_argument("--once", action="store_true", help="end after the summary instead of staying up")
    parser.add_argument("--fresh", action="store_true", help="throw an earlier demo away")
    parser.add_argument("--home", type=Path, default=Path(".demo"), help="where the demo keeps its databases and files")
    arguments = parser.parse_args(argv)
    return run_demo(arguments.home, once=arguments.once, fresh=arguments.fresh)


if __name__ == "__main__":
    sys.exit(main())
