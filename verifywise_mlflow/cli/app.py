"""The command line itself, to which each command adds itself."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="""Reads tenants' MLflow registries, keeps one canonical record per model version, and judges it.

    Two environment variables say where: VERIFYWISE_TENANTS is the path of tenants.yaml, VERIFYWISE_DATABASE_URL
    the Postgres database. Exit codes: 0 done, 1 the server or the database could not be used, 2 the configuration
    is wrong.""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
