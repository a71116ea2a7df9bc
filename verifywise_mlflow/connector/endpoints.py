"""The calls that may be sent: the list is the proof that nothing is changed on a customer's server.

All of MLflow's searches are here, some of which are POST; none of them writes. The transport takes
nothing that is not on this list.

A path is held against the list before it is percent-encoded, part by part: no part may hold a slash or be one of
dots, and the transport then encodes all else, a percent sign included. What reaches the server has exactly the
segments that the list shows.
"""

from __future__ import annotations

import re
from enum import Enum

_AJAX = "ajax-"
_ID = "[A-Za-z0-9_-]{1,128}"

_UC_NAME = r"[^ ./\x00-\x1f\x7f\ud800-\udfff]{1,255}"
"""What Databricks allows as the name of an object in Unity Catalog (SQL reference, Names), lone surrogates apart."""

_UC_FULL_NAME = rf"{_UC_NAME}\.{_UC_NAME}\.{_UC_NAME}"

_SEGMENT = r"(?!\.{1,2}(?:/|\Z))(?![^/]*%(?:2[ef]|5c))[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,255}"
"""One name of a file or folder. Escaped dots and separators are refused: some reader might unescape them twice."""

_FILE = rf"(?:WorkspaceInternal/Mlflow/Artifacts|Volumes)(?i:(?:/{_SEGMENT}){{1,64}})"


class Call(Enum):
    """A method, a path below the server's root, and what ``{id}`` may stand for in it."""

    def __init__(self, method: str, template: str, identifier: str = _ID) -> None:
        self.method = method
        """``GET`` or ``POST``."""
        self._template = template
        pattern = re.escape(template).replace(r"\{id\}", identifier)
        self._pattern = re.compile(rf"(?:{_AJAX})?{pattern}" if template.startswith("api/") else pattern)

    def path(self, identifier: str | None = None) -> str:
        """Return the path with the identifier in its place."""
        return self._template if identifier is None else self._template.replace("{id}", identifier)

    def ajax_path(self, identifier: str | None = None) -> str:
        """Return the path that MLflow's own pages take to the same answer."""
        path = self.path(identifier)
        return _AJAX + path if path.startswith("api/") else path

    def admits(self, method: str, path: str) -> bool:
        """Whether the method and the path, not yet percent-encoded, are this call, to the letter."""
        return method == self.method and self._pattern.fullmatch(path) is not None


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


class DatabricksReadCall(Call):
    """The calls to Databricks beside MLflow's own: GET only."""

    GET_WORKSPACE_MODEL = ("GET", "api/2.0/mlflow/databricks/registered-models/get")
    LIST_UC_MODELS = ("GET", "api/2.1/unity-catalog/models")
    LIST_UC_VERSIONS = ("GET", "api/2.1/unity-catalog/models/{id}/versions", _UC_FULL_NAME)
    # Only these two show tags. They are not in Databricks' reference, but what MLflow's client asks by default.
    GET_UC_MODEL = ("GET", "api/2.0/mlflow/unity-catalog/registered-models/get")
    GET_UC_VERSION = ("GET", "api/2.0/mlflow/unity-catalog/model-versions/get")
    GET_FILE = ("GET", "api/2.0/fs/files/{id}", _FILE)


ARTIFACT_PATH = re.compile(r".*artifact.*")
"""The paths of the calls that make the server look into its artifact store."""


def is_read_call(method: str, path: str) -> bool:
    """Whether the method and the path below the server's root are on the list, to the letter."""
    return any(call.admits(method, path) for call in (*ReadCall, *DatabricksReadCall))


def is_full_name(name: str) -> bool:
    """Whether it has the three parts of a model's name in Unity Catalog: catalog, schema, model."""
    return re.fullmatch(_UC_FULL_NAME, name) is not None
