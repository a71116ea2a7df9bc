"""The calls that may be sent to Databricks beside MLflow's own (``read_calls``): GET only, none of them writes.

Names in Unity Catalog stand in paths, and may hold almost any character. So a path is held against this list before
it is percent-encoded, part by part: no part may hold a slash or be one of dots, and the transport then encodes all
else, a percent sign included. What reaches the server has exactly the segments that the list shows.
"""

from __future__ import annotations

import re

from verifywise_mlflow.connector.read_calls import Call

_NAME = r"[^ ./\x00-\x1f\x7f\ud800-\udfff]{1,255}"
"""What Databricks allows as the name of an object in Unity Catalog (SQL reference, Names), lone surrogates apart."""

_FULL_NAME = rf"{_NAME}\.{_NAME}\.{_NAME}"

_SEGMENT = r"(?!\.{1,2}(?:/|\Z))(?![^/]*%(?:2[ef]|5c))[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,255}"
"""One name of a file or folder. Escaped dots and separators are refused: some reader might unescape them twice."""

_FILE = rf"(?:WorkspaceInternal/Mlflow/Artifacts|Volumes)(?i:(?:/{_SEGMENT}){{1,64}})"


class DatabricksReadCall(Call):
    """A method, a path below the workspace's root, and what ``{id}`` may stand for in it."""

    GET_WORKSPACE_MODEL = ("GET", "api/2.0/mlflow/databricks/registered-models/get", "")
    LIST_UC_MODELS = ("GET", "api/2.1/unity-catalog/models", "")
    LIST_UC_VERSIONS = ("GET", "api/2.1/unity-catalog/models/{id}/versions", _FULL_NAME)
    # Only these two show tags. They are not in Databricks' reference, but what MLflow's client asks by default.
    GET_UC_MODEL = ("GET", "api/2.0/mlflow/unity-catalog/registered-models/get", "")
    GET_UC_VERSION = ("GET", "api/2.0/mlflow/unity-catalog/model-versions/get", "")
    GET_FILE = ("GET", "api/2.0/fs/files/{id}", _FILE)

    def __init__(self, method: str, template: str, identifier: str) -> None:
        super().__init__(method, template)
        self._pattern = re.compile(re.escape(template).replace(r"\{id\}", identifier))

    def admits(self, method: str, path: str) -> bool:
        """Whether the method and the path, not yet percent-encoded, are this call, to the letter."""
        return method == self.method and self._pattern.fullmatch(path) is not None


def is_databricks_read_call(method: str, path: str) -> bool:
    """Whether the method and the path below the workspace's root are on the list, to the letter."""
    return any(call.admits(method, path) for call in DatabricksReadCall)


def is_full_name(name: str) -> bool:
    """Whether it has the three parts of a model's name in Unity Catalog: catalog, schema, model."""
    return re.fullmatch(_FULL_NAME, name) is not None
