"""``verifywise-mlflow listen``."""

from __future__ import annotations

from typing import Annotated

import typer

from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import err, fail
from verifywise_mlflow.listener.application import create_app
from verifywise_mlflow.listener.hint_writer import WAIT_S
from verifywise_mlflow.listener.routes import Routes
from verifywise_mlflow.listener.server import create_server, open_socket
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.listener_privileges import excess_privilege
from verifywise_mlflow.persistence.store import Store

app = typer.Typer()

PORT = 9480


@app.command()
def listen(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65535)] = PORT,
) -> None:
    """Receive MLflow's webhooks, and leave hints of what to read again.

    A proxy in front of it terminates TLS and forwards /mlflow/ only: /metrics names tenants. Changes of tenants.yaml
    and of secrets take effect within seconds.
    """
    with exit_on_errors(as_json=False):
        routes = Routes()
        with Store(database_url(), statement_seconds=WAIT_S) as store:
            with store.begin_shared() as connection:
                excess = excess_privilege(connection)
            if excess:
                err.print(
                    f"The database role {excess}. The listener is reached from other networks: give it a role that "
                    "verifywise-mlflow db grant listener has granted.",
                    style="yellow",
                    highlight=False,
                )
            try:
                listening = open_socket(host, port)
            except OSError as error:
                fail(f"cannot listen on {host}, port {port}: {error.strerror}", FAILED, as_json=False)
            shown_host = f"[{host}]" if ":" in host else host
            bound_port = listening.getsockname()[1]
            tenants = f"{len(routes)} tenant{'s' * (len(routes) != 1)}"
            err.print(f"Receiving webhooks of {tenants} at http://{shown_host}:{bound_port}/mlflow/", highlight=False)
            create_server(create_app(store, routes)).run([listening])
