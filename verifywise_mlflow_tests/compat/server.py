"""One running server of one MLflow version, and the ways to fill it that its own client no longer knows."""

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
from verifywise_mlflow_tests.compat.environments import interpreter, number

IS_PROMPT = "mlflow.prompt.is_prompt"


@dataclass(frozen=True, slots=True)
class CompatServer:
    """A tracking server, as tests of one version share it."""

    environment: str
    """The name of the environment that it runs in: ``2.9.2``, …, ``current``."""
    uri: str
    database: Path
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The MLflow version that it says it is."""
        return number(self.environment)

    @property
    def tenant(self) -> Tenant:
        """A tenant whose registry is all that this server has."""
        return Tenant(tenant_id="acme", tracking_uri=self.uri, allow_private_network=True)

    def send(self, method: str, call: str, body: Mapping[str, object], *, api: str = "2.0") -> dict[str, object]:
        """Send a call of MLflow's REST API, as any program could, and return its answer."""
        response = urllib3.request(
            method, f"{self.uri}/api/{api}/mlflow/{call}", json=dict(body), headers=self.headers, retries=False
        )
        assert response.status == 200, (call, response.status, response.data)
        answer = json.loads(response.data)
        assert isinstance(answer, dict)
        return answer

    def write_sql(self, statement: str, values: Sequence[str | int | None] = ()) -> int:
        """Write into its database what no call would take; return how many rows it was."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            return connection.execute(statement, values).rowcount

    def empty_registry(self) -> None:
        """Delete every registered model, prompts and what hides among them, too."""
        for only in ("", f"tags.`{IS_PROMPT}` = 'true'"):
            answer = self.send("GET", "registered-models/search", {"max_results": 1000, "filter": only})
            found = answer.get("registered_models", [])
            assert isinstance(found, list)
            for model in found:
                self.send("DELETE", "registered-models/delete", {"name": model["name"]})


@contextmanager
def started(
    environment: str, home: Path, *, arguments: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Iterator[CompatServer]:
    """Run the server of an environment, with a new database and a new place for artifacts below a directory."""
    database = home / "mlflow.db"
    with MlflowServer(
        backend_uri=f"sqlite:///{database}",
        artifacts=home / "artifacts",
        log=home / "mlflow.log",
        arguments=arguments,
        environment=variables,
        interpreter=interpreter(environment),
    ) as server:
        yield CompatServer(environment, server.uri, database)
