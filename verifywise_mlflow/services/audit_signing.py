"""Signs the head of a tenant's audit trail as a checkpoint, with the key that the environment refers to."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from verifywise_mlflow.audit.checkpoint import Checkpoint, sign_checkpoint
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.secrets import SecretReference

if TYPE_CHECKING:
    from verifywise_mlflow.audit.keys import SigningKey

SIGNING_KEY_VARIABLE = "VERIFYWISE_AUDIT_SIGNING_KEY"
"""A reference, ``env:NAME`` or ``file:/absolute/path``, to an Ed25519 private key in PEM."""


def signing_key() -> SigningKey | None:
    """Return the signing key; None if none is configured.

    Raises:
        SecretUnavailableError: the variable is set, but it does not refer to a usable key.
    """
    reference = os.environ.get(SIGNING_KEY_VARIABLE)
    if not reference:
        return None
    # With cryptography, which takes 0.05 s; most syncs sign nothing.
    from verifywise_mlflow.audit.keys import InvalidKeyError, SigningKey

    try:
        return SigningKey.from_pem(SecretReference(reference).resolve().encode())
    except ValidationError:
        # The message does not quote the value: it may be the key itself.
        raise SecretUnavailableError(
            f"{SIGNING_KEY_VARIABLE} must be a reference to a key, env:NAME or file:/absolute/path, not the key"
        ) from None
    except SecretUnavailableError as error:
        raise SecretUnavailableError(f"{SIGNING_KEY_VARIABLE}: {error}") from None
    except InvalidKeyError as error:
        raise SecretUnavailableError(f"{SIGNING_KEY_VARIABLE}: {reference} is not a signing key: {error}") from None


def sign_chain_head(session: TenantSession, key: SigningKey, now: datetime) -> Checkpoint | None:
    """Sign the head of the tenant's hash chain and store the checkpoint; None if the chain is empty."""
    head = audit_log.head(session)
    if head is None:
        return None
    checkpoint = sign_checkpoint(session.tenant_id, head, key, now)
    audit_log.append_checkpoint(session, checkpoint)
    return checkpoint
