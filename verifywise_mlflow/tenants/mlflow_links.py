"""The page of a version in the user interface of the tenant's server."""

from __future__ import annotations

from urllib.parse import quote

from verifywise_mlflow.tenants.server import DatabricksServer, MlflowServer
from verifywise_mlflow.tenants.tenant import Tenant


def version_page_url(tenant: Tenant, model_name: str, version_number: int) -> str:
    """Return the URL of a version's page. People open it with their own access.

    The routes are the routes of MLflow's user interface or, for Databricks, the routes that MLflow's client prints.
    """
    # Parentheses and quotes in a path could end a Markdown link.
    base = quote(tenant.tracking_uri, safe=":/%[]@,;=+&~")
    match tenant.server:
        case DatabricksServer(registry="unity_catalog"):
            path = "/".join(_part(part) for part in model_name.split("."))
            return f"{base}/explore/data/models/{path}/version/{version_number}"
        case DatabricksServer():
            return f"{base}/#mlflow/models/{_part(model_name)}/versions/{version_number}"
        case MlflowServer():
            workspace = f"?workspace={tenant.workspace}" if tenant.workspace else ""
            # MLflow's pages decode the fragment twice, but MLflow's own links encode the fragment once. So MLflow's
            # links are broken for a name with a percent sign (observed in 2.22, 3.1 and 3.17).
            name = _part(model_name).replace("%25", "%2525")
            return f"{base}/#/models/{name}/versions/{version_number}{workspace}"


def _part(name: str) -> str:
    """Return a name as one segment of a path; characters that no URL can contain become '?'."""
    return quote(name, safe="", errors="replace")
