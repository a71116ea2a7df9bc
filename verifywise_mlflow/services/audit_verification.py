"""Verifies tenants' audit trails from the database, as ``verifywise-mlflow audit verify`` does for one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from verifywise_mlflow.audit.keys import PublicKey, UnusableKeyError
from verifywise_mlflow.audit.verification import TrailReport, verify
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.secrets import SecretUnavailableError

VARIABLE = "VERIFYWISE_AUDIT_PUBLIC_KEYS"
"""Paths of PEM files, with ``:`` between them, of all keys that ever signed. Without it, no signature is judged."""


def public_keys() -> list[PublicKey]:
    """Return the keys whose signatures count.

    Raises:
        SecretUnavailableError: a file that the environment names holds none.
    """
    paths = [Path(path) for path in os.environ.get(VARIABLE, "").split(":") if path]
    try:
        return [PublicKey.from_pem(path.read_bytes()) for path in paths]
    except (OSError, UnusableKeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretUnavailableError(f"{VARIABLE}: {reason}") from None


def verify_trails(store: Store, tenant_ids: Iterable[str], keys: Sequence[PublicKey]) -> list[TrailReport]:
    """Recompute the chains of tenants."""
    reports = []
    for tenant_id in tenant_ids:
        with store.begin(tenant_id) as connection:
            # The checkpoints first: the chain that is read after them holds all that they speak of.
            stored, expected = (
                audit_log.checkpoints(connection, tenant_id),
                audit_log.is_expected(connection, tenant_id),
            )
            links = audit_log.links(connection, tenant_id)
            reports.append(verify(tenant_id, links, stored, keys=keys, is_expected=expected))
    return reports
