"""``verifywise-mlflow tenants``."""

from __future__ import annotations

import json
import sys

from rich.markup import escape
from rich.table import Table

from verifywise_mlflow.cli.app import app
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, out
from verifywise_mlflow.tenants.loading import load_tenants


@app.command()
def tenants(as_json: AsJson = False) -> None:
    """Check tenants.yaml, and list who is in it."""
    with errors_as_sentences(as_json):
        described = load_tenants()
    if as_json:
        rows = {name: {"tracking_uri": one.tracking_uri, "workspace": one.workspace} for name, one in described.items()}
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    table = Table("tenant", "tracking server", "workspace", "credentials", "artifacts")
    for name, one in described.items():
        artifacts = "hashed" if one.artifacts.hash else "listed"
        table.add_row(
            escape(name),
            escape(one.tracking_uri),
            escape(one.workspace or "-"),
            one.auth.kind,
            artifacts if one.artifacts.manifests else "off",
        )
    out.print(table)
