"""The calls that may be sent: the list is the proof that nothing is changed on a customer's server.

All of MLflow's searches are here, some of which are POST; none of them writes. The transport takes
nothing that is not on this list.
"""

from __future__ import annotations

import re
from enum import Enum


class Call(Enum):
    """A method and a path below the server's root. ``{id}`` stands for one identifier."""

    def __init__(self, method: str, template: str) -> None:
        self.method = method
        """``GET`` or ``POST``."""
        self._template = template

    def path(self, identifier: str | None = None) -> str:
        """Return the path with the identifier in its place."""
        return self._template if identifier is None else self._template.replace("{id}", identifier)


class ReadCall(Call):
    """The calls to an MLflow server."""

    SERVER_INFO = ("GET", "api/3.0/mlflow/server-info")
    VERSION = ("GET", "version")
    SEARCH_MODELS = ("GET", "api/2.0/mlflow/registered-models/search")
    GET_MODEL = ("GET", "api/2.0/mlflow/registered-models/get")
    SEARCH_VERSIONS = ("GET", "api/2.0/mlflow/model-versions/search")
    GET_VERSION = ("GET", "api/2.0/mlflow/model-versions/get")
    SEARCH_EXPERIMENTS = ("POST", "api/2.0/mlflow/experiments/search")
    SEARCH_RUNS = ("POST", "api/2.0/mlflow/runs/search")
    GET_RUN = ("GET", "api/2.0/mlflow/runs/get")
    GET_EXPERIMENT = ("GET", "api/2.0/mlflow/experiments/get")
    SEARCH_LOGGED_MODELS = ("POST", "api/2.0/mlflow/logged-models/search")
    GET_LOGGED_MODEL = ("GET", "api/2.0/mlflow/logged-models/{id}")
    LIST_RUN_ARTIFACTS = ("GET", "api/2.0/mlflow/artifacts/list")
    GET_RUN_ARTIFACT = ("GET", "get-artifact")
    LIST_LOGGED_MODEL_ARTIFACTS = ("GET", "api/2.0/mlflow/logged-models/{id}/artifacts/directories")
    # The only route for a logged model's file is the one that MLflow's own pages use.
    GET_LOGGED_MODEL_ARTIFACT = ("GET", "ajax-api/2.0/mlflow/logged-models/{id}/artifacts/files")


_IDENTIFIER = "[A-Za-z0-9_-]{1,128}"
_READ_PATHS = frozenset((call.method, re.escape(call.path()).replace(r"\{id\}", _IDENTIFIER)) for call in ReadCall)


ARTIFACT_PATH = re.compile(r".*artifact.*")
"""The paths of the calls that make the server look into its artifact store."""


def is_read_call(method: str, path: str) -> bool:
    """Whether the method and the path below the server's root are on the list, to the letter."""
    return any(method == known and re.fullmatch(pattern, path) for known, pattern in _READ_PATHS)
