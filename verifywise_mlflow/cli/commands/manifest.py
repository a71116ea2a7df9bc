"""``verifywise-mlflow manifest``."""

from __future__ import annotations

import sys

import typer

from verifywise_mlflow.artifacts.model_signing.statement import NotExportableError, export_statement
from verifywise_mlflow.cli.arguments import ModelName, StoredTenantName, VersionReference
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import fail
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories.manifests import manifest_by_key
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.version_references import require_recorded, resolve_version

app = typer.Typer()


@app.command()
def manifest(
    tenant: StoredTenantName,
    model: ModelName,
    version: VersionReference,
) -> None:
    """Print the files and hashes of a version as an OpenSSF Model Signing statement.

    Reads the database only.
    """
    with exit_on_errors(as_json=False), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        number = resolve_version(session, model, version)
        manifest_in_store = manifest_by_key(session, (model, number))
        if manifest_in_store is None:
            require_recorded(session, (model, number))
    if manifest_in_store is None:
        version_label = f"{quote(model)} version {number} of the tenant {quote(tenant)}"
        fail(f"there is no manifest of {version_label}: sync the tenant first", 1, as_json=False)
    try:
        statement = export_statement(manifest_in_store)
    except NotExportableError as error:
        fail(str(error), 1, as_json=False)
    sys.stdout.buffer.write(statement + b"\n")
