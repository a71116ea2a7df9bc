"""Loads the default mapping and policy, a tenth of a second of CPU time, while the first stages wait for the server."""

from __future__ import annotations

from concurrent.futures import Future

from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.connector.read_ahead import in_background
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping


def load_defaults() -> Future[None]:
    """Load in a thread of its own what the offline stages need of every tenant; both are cached once loaded."""
    return in_background(_load)


def _load() -> None:
    default_mapping()
    default_policy()
