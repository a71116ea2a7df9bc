"""A server that asks for passwords (``--app-name basic-auth``), its administrator, and accounts with grants."""

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
from verifywise_mlflow_tests.compat.server import CompatServer, started

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class GuardedServer:
    """A server where an account may do what it was granted, and nothing else."""

    server: CompatServer
    """It speaks as the administrator."""
    home: Path

    def password(self, account: str) -> str:
        """Return an account's password."""
        return self._file(account).read_text()

    def tenant(self, account: str) -> Tenant:
        """Return a tenant whose registry is what an account may see of this server."""
        credentials = BasicCredentials(
            kind="basic", username=account, password=SecretReference(f"file:{self._file(account)}")
        )
        return self.server.tenant.model_copy(update={"auth": credentials})

    def create_account(self) -> str:
        """Create an account that may do nothing; return its name."""
        account = f"governance-{secrets.token_hex(4)}"
        self._file(account).write_text(secrets.token_urlsafe(16))
        self.server.send("POST", "users/create", {"username": account, "password": self.password(account)})
        self.cheapen_password(account)
        return account

    def let_read(
        self, account: str, *, experiments: Sequence[str] = (), models: Sequence[str] = (), prompts: Sequence[str] = ()
    ) -> None:
        """Grant an account READ on experiments, by their ids, on registered models and, since 3.17, on prompts."""
        for experiment in experiments:
            self._permit("experiment", "experiment_id", experiment, account, "READ")
        for model in models:
            self._permit("registered_model", "name", model, account, "READ")
        for prompt in prompts:
            self._permit("prompt", "name", prompt, account, "READ")

    def revoke(self, account: str, *, experiment: str | None = None, model: str | None = None) -> None:
        """Take an account's grant back."""
        if experiment:
            self._permit("experiment", "experiment_id", experiment, account, None)
        if model:
            self._permit("registered_model", "name", model, account, None)

    def forget_password(self, account: str) -> None:
        """Have the tenant's password no longer be the account's."""
        self._file(account).write_text(secrets.token_urlsafe(16))

    def _permit(self, kind: str, key: str, resource: str, account: str, permission: str | None) -> None:
        grant = {"username": account} | ({"permission": permission} if permission else {})
        if Version(self.server.version) >= Version("3.17"):
            call = "users/permissions/grant" if permission else "users/permissions/revoke"
            self.server.send("POST", call, grant | {"resource_type": kind, "resource_id": resource}, api="3.0")
        else:
            method, verb = ("POST", "create") if permission else ("DELETE", "delete")
            self.server.send(method, f"{kind.replace('_', '-')}s/permissions/{verb}", grant | {key: resource})

    def cheapen_password(self, account: str) -> None:
        """Have a password checked in no time: MLflow hashes it so that each request costs 0.3 s and more."""
        cheap = generate_password_hash(self.password(account), method="pbkdf2:sha256:1")
        with closing(sqlite3.connect(self.home / "accounts.db", timeout=30)) as connection, connection:
            changed = connection.execute("UPDATE users SET password_hash = ? WHERE username = ?", [cheap, account])
            assert changed.rowcount == 1

    def _file(self, account: str) -> Path:
        return self.home / f"{account}.password"


@contextmanager
def guarded(environment: str, home: Path) -> Iterator[GuardedServer]:
    """Run a server of an environment that grants nothing to anybody but its administrator."""
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
    with started(environment, home, arguments=["--app-name=basic-auth"], variables=variables) as server:
        as_admin = replace(server, headers=urllib3.make_headers(basic_auth=f"{ADMIN}:{password}"))
        found = GuardedServer(as_admin, home)
        found.cheapen_password(ADMIN)
        yield found
