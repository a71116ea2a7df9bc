"""Signs how far a tenant's trail has come, with the key that the environment refers to."""

from __future__ import annotations

import os
from datetime import datetime

from pydantic import ValidationError

from verifywise_mlflow.audit.checkpoint import Checkpoint, sign_checkpoint
from verifywise_mlflow.audit.keys import InvalidKeyError, SigningKey
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.secrets import SecretReference

SIGNING_KEY_VARIABLE = "VERIFYWISE_AUDIT_SIGNING_KEY"
"""Holds a reference, ``env:NAME`` or ``file:/absolute/path``, to an Ed25519 private key in PEM."""


def signing_key() -> SigningKey | None:
    """Return the key; nothing, if there is to be none.

    Raises:
        SecretUnavailableError: the variable is set, but there is no such key behind it.
    """
    written = os.environ.get(SIGNING_KEY_VARIABLE)
    if not written:
        return None
    try:
        return SigningKey.from_pem(SecretReference(written).resolve().encode())
    except ValidationError:
        # It may be the very key.
        raise SecretUnavailableError(
            f"{SIGNING_KEY_VARIABLE} has to be a reference to a key, env:NAME or file:/absolute/path, not the key itself"
        ) from None
    except SecretUnavailableError as error:
        raise SecretUnavailableError(f"{SIGNING_KEY_VARIABLE}: {error}") from None
    except InvalidKeyError as error:
        raise SecretUnavailableError(f"{SIGNING_KEY_VARIABLE}: what {written} refers to cannot sign: {error}") from None


def sign_chain_head(session: TenantSession, key: SigningKey, now: datetime) -> Checkpoint | None:
    """Sign the end of the tenant's chain, and keep that beside it; nothing, if there is no chain."""
    head = audit_log.head(session)
    if head is None:
        return None
    checkpoint = sign_checkpoint(session.tenant_id, head, key, now)
    audit_log.append_checkpoint(session, checkpoint)
    return checkpoint
