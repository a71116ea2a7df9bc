"""``verifywise-mlflow manifest``."""

from __future__ import annotations

import sys

import typer

from verifywise_mlflow.artifacts.model_signing.statement import NotExportableError, export_statement
from verifywise_mlflow.cli.arguments import ModelName, StoredTenantName, VersionNumber
from verifywise_mlflow.cli.output import errors_as_sentences, fail
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories.manifests import manifest_of
from verifywise_mlflow.persistence.store import Store

app = typer.Typer()


@app.command()
def manifest(
    tenant: StoredTenantName,
    model: ModelName,
    version: VersionNumber,
) -> None:
    """Print a version's files and hashes as the statement that OpenSSF Model Signing signs.

    It is taken from the store: nothing is read anew.
    """
    with errors_as_sentences(as_json=False), Store(database_url()) as store, store.begin(tenant) as session:
        kept = manifest_of(session, (model, version))
    if kept is None:
        what = f"{model!r} version {version} of the tenant {tenant!r}"
        fail(f"there is no manifest of {what}: sync the tenant first", 1, as_json=False)
    try:
        statement = export_statement(kept)
    except NotExportableError as error:
        fail(str(error), 1, as_json=False)
    sys.stdout.buffer.write(statement + b"\n")
