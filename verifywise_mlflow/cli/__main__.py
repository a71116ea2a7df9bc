"""``python -m verifywise_mlflow.cli``."""

from verifywise_mlflow.cli import app

app()
