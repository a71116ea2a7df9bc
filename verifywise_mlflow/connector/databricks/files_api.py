"""Where Databricks' Files API serves what lies at an artifact URI. Pure.

Databricks has no counterpart to MLflow's ``get-artifact``. Volumes are documented for the Files API; the folders that
Databricks keeps artifacts in itself are reached as MLflow's client reaches them first (its artifact repositories for
runs and logged models). That client's other way, signed URLs of a cloud's storage, leads to hosts that no tenant has
named, so it is not taken.
"""

from __future__ import annotations

import re

_OWN = re.compile(
    r"dbfs:/{1,3}(?:databricks/mlflow-tracking)/(?P<experiment>[0-9A-Za-z_-]+)/"
    r"(?P<logged>logged_models/)?(?P<owner>[0-9A-Za-z_-]+)(?P<rest>(?:/[^?#]*)?)"
)
_VOLUME = re.compile(r"(?:dbfs:/{1,3}|/)(?P<path>Volumes/[^/?#]+/[^/?#]+/[^/?#]+(?:/[^?#]*)?)")


def files_api_root(artifact_uri: str, owner_id: str) -> str | None:
    """Return the path below ``fs/files/`` of an artifact root, or none where the Files API does not reach.

    Args:
        artifact_uri: as the run or the logged model shows it.
        owner_id: the id of that run or logged model. A URI that names another one is not followed.
    """
    if own := _OWN.fullmatch(artifact_uri):
        if own["owner"] != owner_id:
            return None
        kind = "LoggedModels" if own["logged"] else "Runs"
        root = f"WorkspaceInternal/Mlflow/Artifacts/{own['experiment']}/{kind}/{owner_id}{own['rest']}"
        return root.rstrip("/")
    volume = _VOLUME.fullmatch(artifact_uri)
    return volume["path"].rstrip("/") if volume else None
