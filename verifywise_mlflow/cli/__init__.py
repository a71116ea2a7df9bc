"""The command line: ``verifywise-mlflow --help``. Each command is a module of ``commands``."""

from verifywise_mlflow.cli.app import app

__all__ = ["app"]
