"""A running server of one MLflow version, and ways to fill it that the current client does not support."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import urllib3

from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import interpreter, mlflow_version

IS_PROMPT = "mlflow.prompt.is_prompt"


@dataclass(frozen=True, slots=True)
class CompatServer:
    """A tracking server that the tests of one version share."""

    environment: str
    """The name of its environment: ``2.9.2``, …, ``current``."""
    uri: str
    database: Path
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The server's MLflow version."""
        return mlflow_version(self.environment)

    @property
    def tenant(self) -> Tenant:
        """A tenant that reads this server."""
        return Tenant(tenant_id="acme", tracking_uri=self.uri, allow_private_network=True)

    def send(self, method: str, endpoint: str, body: Mapping[str, object], *, api: str = "2.0") -> dict[str, object]:
        """Send a request to MLflow's REST API; return the JSON of the response."""
        response = urllib3.request(
            method, f"{self.uri}/api/{api}/mlflow/{endpoint}", json=dict(body), headers=self.headers, retries=False
        )
        assert response.status == 200, (endpoint, response.status, response.data)
        body_of_response = json.loads(response.data)
        assert isinstance(body_of_response, dict)
        return body_of_response

    def write_sql(self, statement: str, values: Sequence[str | int | None] = ()) -> int:
        """Write values that no endpoint accepts into the database; return the number of rows."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            return connection.execute(statement, values).rowcount

    def empty_registry(self) -> None:
        """Delete every registered model, including prompts and hidden models."""
        for filter_ in ("", f"tags.`{IS_PROMPT}` = 'true'"):
            response = self.send("GET", "registered-models/search", {"max_results": 1000, "filter": filter_})
            models = response.get("registered_models", [])
            assert isinstance(models, list)
            for model in models:
                self.send("DELETE", "registered-models/delete", {"name": model["name"]})


@contextmanager
def start_server(
    environment: str, home: Path, *, arguments: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Iterator[CompatServer]:
    """Run an environment's server, with a new database and artifact root below a directory."""
    database = home / "mlflow.db"
    with MlflowServer(
        backend_uri=f"sqlite:///{database}",
        artifacts=home / "artifacts",
        log=home / "mlflow.log",
        arguments=arguments,
        environment=variables,
        program=(interpreter(environment), "-m", "mlflow"),
    ) as server:
        yield CompatServer(environment, server.uri, database)
