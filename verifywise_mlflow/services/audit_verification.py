"""Verifies tenants' audit trails from the database, as ``verifywise-mlflow audit verify`` does for one tenant."""

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
"""Paths of PEM files, separated by ``:``, of all keys that ever signed. Without it, signatures are not verified."""


def public_keys() -> list[PublicKey]:
    """Return the public keys to verify signatures with.

    Raises:
        SecretUnavailableError: a configured file does not hold a public key.
    """
    paths = [Path(path) for path in os.environ.get(PUBLIC_KEYS_VARIABLE, "").split(":") if path]
    try:
        return [PublicKey.from_pem(path.read_bytes()) for path in paths]
    except (OSError, InvalidKeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretUnavailableError(f"{PUBLIC_KEYS_VARIABLE}: {reason}") from None


def verify_audit_trails(store: Store, tenant_ids: Iterable[str], keys: Sequence[PublicKey]) -> list[TrailReport]:
    """Recompute the hash chains of tenants and verify their checkpoints."""
    reports = []
    for tenant_id in tenant_ids:
        with store.begin(tenant_id) as session:
            # Checkpoints first: a chain that is read after them contains every entry that they sign.
            checkpoints, is_expected = audit_log.checkpoints(session), audit_log.is_expected(session)
            links = audit_log.links(session)
            reports.append(verify_chain(tenant_id, links, checkpoints, keys=keys, is_expected=is_expected))
    return reports
