"""The allow-list of read-only endpoints, which ensures that nothing on a customer's server is changed.

All endpoints take GET requests, except some of MLflow's searches and a count. These take POST requests, which write
nothing. ``RestClient`` sends nothing else.

A path is matched segment by segment before it is percent-encoded. No segment may contain a slash or consist of dots.
The client then encodes everything else, including percent signs, so the server receives exactly the listed segments.
"""

from __future__ import annotations

import re
from enum import Enum

from verifywise_mlflow.http.request_auth import ReadMethod

_AJAX = "ajax-"
_ID = "[A-Za-z0-9_-]{1,128}"

_UC_NAME = r"[^ ./\x00-\x1f\x7f\ud800-\udfff]{1,255}"
"""Object names that Unity Catalog allows (Databricks SQL reference, Names), except lone surrogates."""

_UC_FULL_NAME = rf"{_UC_NAME}\.{_UC_NAME}\.{_UC_NAME}"

_SEGMENT = r"(?!\.{1,2}(?:/|\Z))(?![^/]*%(?i:2[ef]|5c))[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,255}"
"""One name of a file or folder. Escaped dots and separators are refused: a server might unescape them twice."""

_FILE = rf"(?:WorkspaceInternal/Mlflow/Artifacts|Volumes)(?:/{_SEGMENT}){{1,64}}"


class Endpoint(Enum):
    """A method, a path below the server's root, and the pattern of ``{id}`` in the path."""

    def __init__(self, method: ReadMethod, template: str, identifier: str = _ID) -> None:
        self.method: ReadMethod = method
        self._template = template
        pattern = re.escape(template).replace(r"\{id\}", identifier)
        self._pattern = re.compile(rf"(?:{_AJAX})?{pattern}" if template.startswith("api/") else pattern)

    @property
    def route(self) -> str:
        """The path with ``{id}`` for its identifier, for traces."""
        return f"/{self._template}"

    def path(self, identifier: str | None = None) -> str:
        """Return the path with the identifier filled in."""
        return self._template if identifier is None else self._template.replace("{id}", identifier)

    def ajax_path(self, identifier: str | None = None) -> str:
        """Return the path that MLflow's web pages use for the same endpoint."""
        path = self.path(identifier)
        return _AJAX + path if path.startswith("api/") else path

    def matches(self, method: str, path: str) -> bool:
        """Return whether the method and the path, before percent-encoding, are exactly this endpoint."""
        return method == self.method and self._pattern.fullmatch(path) is not None


class MlflowEndpoint(Endpoint):
    """Endpoints of an MLflow server."""

    SERVER_INFO = ("GET", "api/3.0/mlflow/server-info")
    VERSION = ("GET", "version")
    SEARCH_MODELS = ("GET", "api/2.0/mlflow/registered-models/search")
    GET_MODEL = ("GET", "api/2.0/mlflow/registered-models/get")
    SEARCH_VERSIONS = ("GET", "api/2.0/mlflow/model-versions/search")
    GET_VERSION = ("GET", "api/2.0/mlflow/model-versions/get")
    GET_VERSION_LOCATION = ("GET", "api/2.0/mlflow/model-versions/get-download-uri")
    LIST_WEBHOOKS = ("GET", "api/2.0/mlflow/webhooks")
    SEARCH_EXPERIMENTS = ("POST", "api/2.0/mlflow/experiments/search")
    SEARCH_RUNS = ("POST", "api/2.0/mlflow/runs/search")
    GET_RUN = ("GET", "api/2.0/mlflow/runs/get")
    GET_EXPERIMENT = ("GET", "api/2.0/mlflow/experiments/get")
    SEARCH_LOGGED_MODELS = ("POST", "api/2.0/mlflow/logged-models/search")
    GET_LOGGED_MODEL = ("GET", "api/2.0/mlflow/logged-models/{id}")
    SEARCH_EVALUATION_DATASETS = ("POST", "api/3.0/mlflow/datasets/search")
    # The rows have excerpts of inputs and outputs, which the parser drops (trace_assessments.py).
    SEARCH_TRACES = ("POST", "api/3.0/mlflow/traces/search")
    # The server aggregates: the response has a count, and no trace.
    COUNT_TRACES = ("POST", "api/3.0/mlflow/traces/metrics")
    LIST_RUN_ARTIFACTS = ("GET", "api/2.0/mlflow/artifacts/list")
    GET_RUN_ARTIFACT = ("GET", "get-artifact")
    LIST_SERVED_ARTIFACTS = ("GET", "api/2.0/mlflow-artifacts/artifacts")
    GET_SERVED_ARTIFACT = ("GET", "api/2.0/mlflow-artifacts/artifacts/{id}", rf"{_SEGMENT}(?:/{_SEGMENT}){{0,64}}")
    LIST_LOGGED_MODEL_ARTIFACTS = ("GET", "api/2.0/mlflow/logged-models/{id}/artifacts/directories")
    # The route that MLflow's web pages use is the only route to a logged model's file.
    GET_LOGGED_MODEL_ARTIFACT = ("GET", "ajax-api/2.0/mlflow/logged-models/{id}/artifacts/files")


class DatabricksEndpoint(Endpoint):
    """Databricks' own endpoints in addition to MLflow's: GET only."""

    GET_WORKSPACE_MODEL = ("GET", "api/2.0/mlflow/databricks/registered-models/get")
    LIST_UC_MODELS = ("GET", "api/2.1/unity-catalog/models")
    LIST_UC_VERSIONS = ("GET", "api/2.1/unity-catalog/models/{id}/versions", _UC_FULL_NAME)
    # Only these two endpoints show tags. MLflow's client uses them by default, but Databricks' reference omits them.
    GET_UC_MODEL = ("GET", "api/2.0/mlflow/unity-catalog/registered-models/get")
    GET_UC_VERSION = ("GET", "api/2.0/mlflow/unity-catalog/model-versions/get")
    GET_FILE = ("GET", "api/2.0/fs/files/{id}", _FILE)


ARTIFACT_PATH = re.compile(r".*artifact.*")
"""Paths of the endpoints that make the server read its artifact store."""


def is_unity_catalog_name(name: str) -> bool:
    """Return whether a name has the three parts of a Unity Catalog model: catalog, schema, model."""
    return re.fullmatch(_UC_FULL_NAME, name) is not None
