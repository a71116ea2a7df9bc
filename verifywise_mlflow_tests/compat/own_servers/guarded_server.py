"""A server with MLflow's basic auth (``--app-name basic-auth``), its administrator, and accounts with grants."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import urllib3
from packaging.version import Version
from werkzeug.security import generate_password_hash

from verifywise_mlflow.tenants.auth import BasicCredentials
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import mlflow_version
from verifywise_mlflow_tests.compat.server import CompatServer, start_server

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class GuardedServer:
    """A server on which each account has only the permissions that it was granted."""

    server: CompatServer
    """The server, with a connection that authenticates as the administrator."""
    home: Path

    def password(self, account: str) -> str:
        """Return an account's password."""
        return self._file(account).read_text()

    def tenant(self, account: str) -> Tenant:
        """Return a tenant that reads this server with an account."""
        credentials = BasicCredentials(
            kind="basic", username=account, password=SecretReference(f"file:{self._file(account)}")
        )
        return self.server.tenant.model_copy(update={"auth": credentials})

    def create_account(self) -> str:
        """Create an account without permissions; return its name."""
        account = f"governance-{secrets.token_hex(4)}"
        self._file(account).write_text(secrets.token_urlsafe(16))
        self.server.send("POST", "users/create", {"username": account, "password": self.password(account)})
        self.use_fast_password_hash(account)
        return account

    def grant_read(
        self, account: str, *, experiments: Sequence[str] = (), models: Sequence[str] = (), prompts: Sequence[str] = ()
    ) -> None:
        """Grant an account READ on experiments, by their ids, on registered models and, since 3.17, on prompts."""
        for experiment in experiments:
            self._set_permission("experiment", "experiment_id", experiment, account, "READ")
        for model in models:
            self._set_permission("registered_model", "name", model, account, "READ")
        for prompt in prompts:
            self._set_permission("prompt", "name", prompt, account, "READ")

    def revoke(self, account: str, *, experiment: str | None = None, model: str | None = None) -> None:
        """Revoke an account's grant."""
        if experiment:
            self._set_permission("experiment", "experiment_id", experiment, account, None)
        if model:
            self._set_permission("registered_model", "name", model, account, None)

    def invalidate_password(self, account: str) -> None:
        """Make the tenant's password wrong."""
        self._file(account).write_text(secrets.token_urlsafe(16))

    def _set_permission(self, kind: str, key: str, resource: str, account: str, permission: str | None) -> None:
        grant = {"username": account} | ({"permission": permission} if permission else {})
        if Version(self.server.version) >= Version("3.17"):
            endpoint = "users/permissions/grant" if permission else "users/permissions/revoke"
            self.server.send("POST", endpoint, grant | {"resource_type": kind, "resource_id": resource}, api="3.0")
        else:
            method, verb = ("POST", "create") if permission else ("DELETE", "delete")
            self.server.send(method, f"{kind.replace('_', '-')}s/permissions/{verb}", grant | {key: resource})

    def use_fast_password_hash(self, account: str) -> None:
        """Replace a password hash with a fast one: checking MLflow's own takes 0.3 s and more per request."""
        fast_hash = generate_password_hash(self.password(account), method="pbkdf2:sha256:1")
        with closing(sqlite3.connect(self.home / "accounts.db", timeout=30)) as connection, connection:
            changed = connection.execute("UPDATE users SET password_hash = ? WHERE username = ?", [fast_hash, account])
            assert changed.rowcount == 1

    def _file(self, account: str) -> Path:
        return self.home / f"{account}.password"


@contextmanager
def start_guarded_server(environment: str, home: Path) -> Iterator[GuardedServer]:
    """Run an environment's server on which only the administrator has permissions."""
    password = secrets.token_urlsafe(16)
    (home / f"{ADMIN}.password").write_text(password)
    settings = home / "basic_auth.ini"
    settings.write_text(
        "[mlflow]\n"
        "default_permission = NO_PERMISSIONS\n"
        f"database_uri = sqlite:///{home}/accounts.db\n"
        f"admin_username = {ADMIN}\n"
        f"admin_password = {password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    variables = {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(16)}
    arguments = ["--app-name=basic-auth"]
    if mlflow_version(environment).startswith("3.3."):
        # MLflow's default uvicorn gets an application here that only gunicorn can serve, so every request fails.
        arguments.append("--gunicorn-opts=--threads=1")
    with start_server(environment, home, arguments=arguments, variables=variables) as server:
        as_admin = replace(server, headers=urllib3.make_headers(basic_auth=f"{ADMIN}:{password}"))
        guarded_server = GuardedServer(as_admin, home)
        guarded_server.use_fast_password_hash(ADMIN)
        yield guarded_server
