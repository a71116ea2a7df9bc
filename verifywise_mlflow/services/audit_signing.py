"""Signs how far a tenant's trail has come, with the key that the environment refers to."""

from __future__ import annotations

import os
from datetime import datetime

from pydantic import ValidationError

from verifywise_mlflow.audit.checkpoint import Checkpoint, sign
from verifywise_mlflow.audit.keys import SigningKey, UnusableKeyError
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Connection
from verifywise_mlflow.tenants.secrets import SecretReference, SecretUnavailableError

VARIABLE = "VERIFYWISE_AUDIT_SIGNING_KEY"
"""Holds a reference, ``env:NAME`` or ``file:/absolute/path``, to an Ed25519 private key in PEM."""


def signing_key() -> SigningKey | None:
    """Return the key; nothing, if there is to be none.

    Raises:
        SecretUnavailableError: the variable is set, but there is no such key behind it.
    """
    written = os.environ.get(VARIABLE)
    if not written:
        return None
    try:
        return SigningKey.from_pem(SecretReference(written).resolve().encode())
    except ValidationError:
        # It may be the very key.
        raise SecretUnavailableError(
            f"{VARIABLE} has to be a reference to a key, env:NAME or file:/absolute/path, not the key itself"
        ) from None
    except SecretUnavailableError as error:
        raise SecretUnavailableError(f"{VARIABLE}: {error}") from None
    except UnusableKeyError as error:
        raise SecretUnavailableError(f"{VARIABLE}: what {written} refers to cannot sign: {error}") from None


def sign_head(connection: Connection, tenant_id: str, key: SigningKey, now: datetime) -> Checkpoint | None:
    """Sign the end of the tenant's chain, and keep that beside it; nothing, if there is no chain."""
    head = audit_log.head(connection, tenant_id)
    if head is None:
        return None
    checkpoint = sign(tenant_id, head, key, now)
    audit_log.append_checkpoint(connection, checkpoint)
    return checkpoint
