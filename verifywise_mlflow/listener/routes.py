"""Routes: the tenant that a path belongs to, and the secrets that sign its deliveries.

``tenants.yaml`` and the secrets are read again while the listener runs. If the file becomes invalid, the last valid one
stays in force: a mistake in one tenant's settings must not lose the events of all tenants. If a tenant's secret cannot
be used, only this tenant has no route.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verifywise_mlflow.tenants.errors import SecretUnavailableError, TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants, tenants_path
from verifywise_mlflow.tenants.mlflow_webhooks import Webhooks
from verifywise_mlflow.tenants.tenant import Tenant

_log = logging.getLogger(__name__)

_PATH: Final = re.compile(r"[A-Za-z0-9_-]{22,128}")
"""22 random characters of base64 have more than 128 bits."""
_MIN_SECRET_CHARACTERS: Final = 16

_DEFAULT_WORKSPACE: Final = "default"


@dataclass(frozen=True, slots=True)
class Route:
    """A tenant whose webhooks are received."""

    tenant_id: str
    workspace: str
    """The tenant's workspace on an MLflow server with workspaces: ``default`` unless its settings name another."""
    secrets: tuple[bytes, ...]
    events_per_minute: int


class Routes:
    """The routes of all tenants, by path."""

    def __init__(self) -> None:
        """Read the file and the secrets. A tenant whose path or secret cannot be used is logged.

        Raises:
            TenantsFileError: the environment names no file, or the file is missing or invalid.
        """
        self._path = tenants_path()
        self._state = _state_of(self._path)
        self._tenants = load_tenants(self._path)
        self._by_digest: Mapping[bytes, Route] = {}
        self._reported: list[str] = []
        self.is_current = True
        """Whether the file that was read last is in force: False if it was invalid."""
        self._resolve()

    def __len__(self) -> int:
        return len(self._by_digest)

    def find(self, path: str) -> Route | None:
        """Return the route of a path; None if no tenant has the path.

        The look-up is by the path's hash, so its time does not reveal how much of a guessed path is right.
        """
        return self._by_digest.get(_digest(path))

    def reload(self) -> None:
        """Read all secrets again, and the file if it has changed or was invalid. Problems are logged, not raised."""
        state = _state_of(self._path)
        problems: list[str] = []
        if state != self._state or not self.is_current:
            try:
                self._tenants = load_tenants(self._path)
            except TenantsFileError as error:
                problems.append(f"{error}. The routes of the last valid file stay in force")
            self._state = state
            self.is_current = not problems
        self._resolve(problems)

    def _resolve(self, problems: list[str] | None = None) -> None:
        found = list(problems or ())
        self._by_digest = routes_of(self._tenants, found.append)
        if found != self._reported:
            for problem in found:
                _log.error("%s", problem)
            self._reported = found


def routes_of(tenants: Mapping[str, Tenant], report: Callable[[str], None]) -> dict[bytes, Route]:
    """Return the routes of tenants by the digest of their paths, and report tenants that cannot have a route."""
    routes: dict[bytes, Route] = {}
    ambiguous: set[bytes] = set()
    for tenant in tenants.values():
        if tenant.webhooks is None:
            continue
        try:
            digest, secrets = _digest(_path_of(tenant.webhooks)), _secrets_of(tenant.webhooks)
        except (SecretUnavailableError, ValueError) as error:
            report(f"no webhooks of {tenant.tenant_id} are received: {error}")
            continue
        if digest in routes:
            ambiguous.add(digest)
            report(
                f"{tenant.tenant_id} and {routes[digest].tenant_id} have the same webhooks.path, so no webhooks of "
                "either are received: give each a path of its own"
            )
            continue
        routes[digest] = Route(
            tenant.tenant_id, tenant.workspace or _DEFAULT_WORKSPACE, secrets, tenant.webhooks.events_per_minute
        )
    return {digest: route for digest, route in routes.items() if digest not in ambiguous}


def _path_of(webhooks: Webhooks) -> str:
    path = webhooks.path.resolve()
    if not _PATH.fullmatch(path):
        raise ValueError(
            f"webhooks.path (from {webhooks.path}) is not a secret of 22 to 128 letters, digits, '-' or '_': "
            "make one, for example with openssl rand -hex 16"
        )
    return path


def _secrets_of(webhooks: Webhooks) -> tuple[bytes, ...]:
    secrets = tuple(reference.resolve() for reference in webhooks.secret)
    for reference, secret in zip(webhooks.secret, secrets, strict=True):
        if len(secret) < _MIN_SECRET_CHARACTERS:
            raise ValueError(
                f"webhooks.secret (from {reference}) has fewer than {_MIN_SECRET_CHARACTERS} characters: make one, for "
                "example with openssl rand -hex 32"
            )
    return tuple(secret.encode() for secret in secrets)


def _digest(path: str) -> bytes:
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).digest()


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
