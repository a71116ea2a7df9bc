"""Maps artifact URIs to paths of Databricks' Files API. Pure.

Databricks has no counterpart to MLflow's ``get-artifact``. The Files API is documented for volumes. For the folders in
which Databricks stores artifacts itself, this module uses the paths that MLflow's client tries first (its artifact
repositories for runs and logged models). MLflow's client can also use signed URLs of a cloud's storage. Such URLs lead
to hosts that no tenant has named, so they are not used here.
"""

from __future__ import annotations

import re

_MANAGED_FOLDER = re.compile(
    r"dbfs:/{1,3}(?:databricks/mlflow-tracking)/(?P<experiment>[0-9A-Za-z_-]+)/"
    r"(?P<logged>logged_models/)?(?P<owner>[0-9A-Za-z_-]+)(?P<rest>(?:/[^?#]*)?)"
)
_VOLUME = re.compile(r"(?:dbfs:/{1,3}|/)(?P<path>Volumes/[^/?#]+/[^/?#]+/[^/?#]+(?:/[^?#]*)?)")


def files_api_root(artifact_uri: str, owner_id: str) -> str | None:
    """Return the path of an artifact root below ``fs/files/``, or None if the Files API does not serve it.

    Args:
        artifact_uri: the artifact URI of the run or the logged model.
        owner_id: the id of this run or logged model. A URI that names another run or logged model is not followed.
    """
    if managed := _MANAGED_FOLDER.fullmatch(artifact_uri):
        if managed["owner"] != owner_id:
            return None
        kind = "LoggedModels" if managed["logged"] else "Runs"
        root = f"WorkspaceInternal/Mlflow/Artifacts/{managed['experiment']}/{kind}/{owner_id}{managed['rest']}"
        return root.rstrip("/")
    volume = _VOLUME.fullmatch(artifact_uri)
    return volume["path"].rstrip("/") if volume else None
