"""``verifywise-mlflow db``: the schema in the database."""

from __future__ import annotations

import typer

from verifywise_mlflow.cli.app import app
from verifywise_mlflow.cli.output import errors_as_sentences, out
from verifywise_mlflow.persistence import database
from verifywise_mlflow.persistence.database import database_url

db = typer.Typer(help="The schema in the database.", no_args_is_help=True)
app.add_typer(db, name="db")


@db.command()
def upgrade() -> None:
    """Bring the schema to this release's revision; create it where there is none."""
    with errors_as_sentences(as_json=False):
        revision = database.upgrade(database_url())
    out.print(f"The schema verifywise is at revision {revision}.")
