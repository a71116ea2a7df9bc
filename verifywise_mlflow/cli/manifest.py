"""``verifywise-mlflow manifest``."""

from __future__ import annotations

import sys

from verifywise_mlflow.artifacts.model_signing.statement import NotExportableError, export
from verifywise_mlflow.cli.app import app
from verifywise_mlflow.cli.arguments import ModelName, TenantName, VersionNumber, described_tenant
from verifywise_mlflow.cli.output import errors_as_sentences, fail
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.manifests import manifest_of
from verifywise_mlflow.persistence.store import Store


@app.command()
def manifest(
    tenant: TenantName,
    model: ModelName,
    version: VersionNumber,
) -> None:
    """Print a version's files and hashes as the statement that OpenSSF Model Signing signs.

    It is taken from the store: nothing is read anew. Exit code 1 if there is none, or if not every file was hashed.
    """
    with errors_as_sentences(as_json=False):
        described = described_tenant(tenant)
        with Store(database_url()) as store, store.begin(described.tenant_id) as connection:
            kept = manifest_of(connection, described.tenant_id, (model, version))
    if kept is None:
        fail(f"there is no manifest of {model!r} version {version}: sync the tenant first", 1, as_json=False)
    try:
        statement = export(kept)
    except NotExportableError as error:
        fail(str(error), 1, as_json=False)
    sys.stdout.buffer.write(statement + b"\n")
