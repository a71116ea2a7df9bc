"""Where a person looks at a version: its page in the user interface of the tenant's server."""

from __future__ import annotations

from urllib.parse import quote

from verifywise_mlflow.tenants.server import DatabricksServer, MlflowServer
from verifywise_mlflow.tenants.tenant import Tenant


def version_page(tenant: Tenant, model_name: str, version_number: int) -> str:
    """Return the URL of a version's page. It holds no credentials: a person's own access opens it, or not.

    The routes are those of MLflow's own user interface and, for Databricks, those that MLflow's client prints.
    """
    # Parentheses and quotes of a path could end a link in Markdown.
    base = quote(tenant.tracking_uri, safe=":/%[]@,;=+&~")
    match tenant.server:
        case DatabricksServer(registry="unity_catalog"):
            path = "/".join(_part(part) for part in model_name.split("."))
            return f"{base}/explore/data/models/{path}/version/{version_number}"
        case DatabricksServer():
            return f"{base}/#mlflow/models/{_part(model_name)}/versions/{version_number}"
        case MlflowServer():
            workspace = f"?workspace={tenant.workspace}" if tenant.workspace else ""
            # MLflow's pages decode what stands after the # twice: once more than its own links are encoded, so that
            # those lead nowhere for a name with a percent sign. Seen in 2.22, 3.1 and 3.17.
            name = _part(model_name).replace("%25", "%2525")
            return f"{base}/#/models/{name}/versions/{version_number}{workspace}"


def _part(name: str) -> str:
    """Return a name as one part of a path; what no URL can hold, such as half a surrogate pair, as '?'."""
    return quote(name, safe="", errors="replace")
