"""Verifies tenants' audit trails from the database, as ``verifywise-mlflow audit verify`` does for one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from verifywise_mlflow.audit.keys import InvalidKeyError, PublicKey
from verifywise_mlflow.audit.verification import TrailReport, verify_chain
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.errors import SecretUnavailableError

PUBLIC_KEYS_VARIABLE = "VERIFYWISE_AUDIT_PUBLIC_KEYS"
"""Paths of PEM files, with ``:`` between them, of all keys that ever signed. Without it, no signature is judged."""


def public_keys() -> list[PublicKey]:
    """Return the keys whose signatures count.

    Raises:
        SecretUnavailableError: a file that the environment names holds none.
    """
    paths = [Path(path) for path in os.environ.get(PUBLIC_KEYS_VARIABLE, "").split(":") if path]
    try:
        return [PublicKey.from_pem(path.read_bytes()) for path in paths]
    except (OSError, InvalidKeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretUnavailableError(f"{PUBLIC_KEYS_VARIABLE}: {reason}") from None


def verify_audit_trails(store: Store, tenant_ids: Iterable[str], keys: Sequence[PublicKey]) -> list[TrailReport]:
    """Recompute the chains of tenants."""
    reports = []
    for tenant_id in tenant_ids:
        with store.begin(tenant_id) as session:
            # The checkpoints first: the chain that is read after them holds all that they speak of.
            stored, expected = (
                audit_log.checkpoints(session),
                audit_log.is_expected(session),
            )
            links = audit_log.links(session)
            reports.append(verify_chain(tenant_id, links, stored, keys=keys, is_expected=expected))
    return reports
