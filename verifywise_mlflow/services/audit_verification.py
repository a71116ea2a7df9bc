"""Verifies tenants' audit trails from the database, as ``verifywise-mlflow audit verify`` does for one tenant."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.keys import InvalidKeyError, PublicKey
from verifywise_mlflow.audit.trail_report import TrailReport
from verifywise_mlflow.audit.verification import verify_chain
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.errors import SecretUnavailableError

PUBLIC_KEYS_VARIABLE = "VERIFYWISE_AUDIT_PUBLIC_KEYS"
"""Paths of PEM files, separated by ``:``. The files contain the first key of the trails, and each key that replaced a
lost key. The trail itself contains the keys for which these keys vouch. Without the variable, signatures are not
verified."""


def public_keys() -> list[PublicKey]:
    """Return the public keys to verify signatures with.

    Raises:
        SecretUnavailableError: a configured file cannot be read, or does not contain a public key.
    """
    return [_public_key(Path(path)) for path in os.environ.get(PUBLIC_KEYS_VARIABLE, "").split(":") if path]


def _public_key(path: Path) -> PublicKey:
    try:
        return PublicKey.from_pem(path.read_bytes())
    except (OSError, InvalidKeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretUnavailableError(f"{PUBLIC_KEYS_VARIABLE}: {path}: {reason}") from None


def _no_checkpoints(_tenant_id: str) -> Sequence[Checkpoint]:
    return ()


def verify_audit_trails(
    store: Store,
    tenant_ids: Iterable[str],
    keys: Sequence[PublicKey],
    external_checkpoints: Callable[[str], Sequence[Checkpoint]] = _no_checkpoints,
) -> list[TrailReport]:
    """Recompute the hash chains of tenants and verify their checkpoints.

    Only checkpoints from outside the database reveal that a trail was truncated at a checkpoint (``TrailReport``).

    Args:
        store: The store.
        tenant_ids: The tenants.
        keys: Trusted public keys. Without keys, no signature is verified.
        external_checkpoints: Returns the checkpoints of a tenant that are stored outside the database.
    """
    reports = []
    for tenant_id in tenant_ids:
        # Checkpoints first: a chain that is read after them contains every entry that they sign.
        external = external_checkpoints(tenant_id)
        with store.begin(tenant_id) as session:
            checkpoints, is_expected = audit_log.checkpoints(session), audit_log.is_expected(session)
            links = audit_log.links(session)
            reports.append(verify_chain(tenant_id, links, checkpoints, external, keys, is_expected=is_expected))
    return reports


def problem(store: Store, report: TrailReport) -> str | None:
    """Return the text of an alert about a trail; None if the trail is undamaged and has a signature.

    A trail whose first sync still runs has no checkpoint yet, since a sync signs at its end.
    """
    if report.damage:
        return f"{report.damage.kind}: {report.damage.sentence}"
    if report.outcome() == "unsigned":
        with store.begin(report.tenant_id) as session:
            if audit_log.entries(session, limit=1, kind="sync ended"):
                return f"unsigned: {report.not_proved()[0]}"
    return None
