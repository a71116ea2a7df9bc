"""The names of data sets, models and jobs in lineage.

Other producers of lineage use the same names of data sets, so that the graphs connect. A data set in a store has the
name that OpenLineage's naming rules require. Objects that only MLflow knows are in the namespace of the MLflow server.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.common.store_schemes import AZURE_SCHEMES, OBJECT_STORE_SCHEMES

EVALUATION_NAMESPACE: Final = "verifywise-mlflow"
_RUN_IDS: Final = uuid.UUID("0b6a2a4e-1d6f-4c0e-8a6b-7f3f4d2c9e11")
"""The namespace for run ids that are derived from texts other than UUIDs."""
_STORE_SCHEMES: Final = frozenset(OBJECT_STORE_SCHEMES) | {"hdfs", "dbfs", "https", "http", "file"}
_ALIASES: Final = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}


@dataclass(frozen=True, slots=True)
class DatasetName:
    """A data set's identity: namespace and name together are unique."""

    namespace: str
    name: str


def data_set_name(reference: Mapping[str, Json], namespace: str) -> DatasetName:
    """Return the name of a data set that a run logged as an input.

    Args:
        reference: One entry of the record's ``dataset_reference``.
        namespace: The namespace of the tenant's server, for data sets whose location is not a URI.
    """
    uri = _uri(reference.get("source"))
    if uri and (in_store := _name_in_store(uri)):
        return in_store
    label, digest = reference.get("name"), reference.get("digest")
    return DatasetName(namespace, "/".join(str(part) for part in ("datasets", label, digest) if part is not None))


def version_name(model_name: str, version_number: int, namespace: str) -> DatasetName:
    """Return the name of a model version: the URI that MLflow itself uses for it."""
    return DatasetName(namespace, f"models:/{model_name}/{version_number}")


def run_uuid(text: str) -> str:
    """Return a run's id as a UUID. The ids of MLflow's runs and of syncs are already UUIDs."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return str(uuid.uuid5(_RUN_IDS, text.encode("utf-8", "backslashreplace").decode()))


def _name_in_store(uri: str) -> DatasetName | None:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    scheme, path = _ALIASES.get(parts.scheme, parts.scheme), parts.path.strip("/")
    if scheme not in _STORE_SCHEMES or not path:
        return None
    # The text before the @ is a container on Azure, but credentials elsewhere.
    host = parts.netloc if scheme in AZURE_SCHEMES else parts.netloc.rpartition("@")[2]
    return DatasetName(f"{scheme}://{host}", path) if host else DatasetName(scheme, f"/{path}")


def _uri(source: Json) -> str | None:
    """Return the URI in MLflow's field for a data set's source, which is a JSON object or a text."""
    if not isinstance(source, str):
        return None
    try:
        parsed = json.loads(source)
    except ValueError:
        return source
    if not isinstance(parsed, dict):
        return None
    return next((value for key in ("uri", "url", "path") if isinstance(value := parsed.get(key), str)), None)
