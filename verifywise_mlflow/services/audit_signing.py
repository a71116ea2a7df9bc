"""Signs the head of a tenant's audit trail as a checkpoint, and records when another key begins to sign.

At any given time, only one key signs a trail. A process with another key signs nothing, so that neither a forgotten
worker nor a wrong setting mixes two keys. If the previous key is configured, too, it vouches for the new key: it signs
a checkpoint over a separate entry, ``signing key changed``. So verifiers who trust the previous key need no other key.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.checkpoint import Checkpoint, sign_checkpoint
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.secrets import SecretReference

if TYPE_CHECKING:  # these import cryptography, which takes 0.05 s; most syncs sign nothing
    from verifywise_mlflow.audit.keys import Signer

SIGNING_KEY_VARIABLE: Final = "VERIFYWISE_AUDIT_SIGNING_KEY"
"""A reference to an Ed25519 private key: ``env:NAME`` or ``file:/absolute/path`` in PEM, or ``pkcs11:`` (RFC 7512)."""
PREVIOUS_KEY_VARIABLE: Final = "VERIFYWISE_AUDIT_PREVIOUS_SIGNING_KEY"
"""A reference, in the same form, to the key that has signed until now and is being replaced."""
_PKCS11_SCHEME: Final = "pkcs11:"


class WrongSigningKeyError(SecretUnavailableError):
    """The configured key is not the key that signs this trail, and no previous key vouches for it."""


def signing_key() -> Signer | None:
    """Return the signing key; None if no key is configured.

    Raises:
        SecretUnavailableError: the variable is set, but it does not refer to a usable key.
    """
    return _key(SIGNING_KEY_VARIABLE)


def previous_signing_key() -> Signer | None:
    """Return the key that is being replaced; None if no such key is configured.

    Raises:
        SecretUnavailableError: the variable is set, but it does not refer to a usable key.
    """
    return _key(PREVIOUS_KEY_VARIABLE)


def signing_key_of(store: Store, tenant_id: str, now: datetime) -> Signer | None:
    """Return the signing key after making sure that it signs the tenant's trail; None if no key is configured.

    If the key replaces another key, this function records the replacement in the trail, before a sync reads anything.

    Raises:
        SecretUnavailableError: the key cannot be used, or is not the key that signs this trail.
    """
    key = signing_key()
    if key is not None:
        with store.begin(tenant_id) as session:
            change_key(session, key, now)
    return key


def sign_chain_head(session: TenantSession, key: Signer, now: datetime) -> Checkpoint | None:
    """Sign the head of the tenant's hash chain; store and return the checkpoint. Return None if the chain is empty.

    Raises:
        SecretUnavailableError: the key cannot be used any more, or it is not the key that signs this trail.
    """
    change_key(session, key, now)
    head = audit_log.head(session)
    if head is None:
        return None
    checkpoint = sign_checkpoint(session.tenant_id, head, key, now)
    audit_log.append_checkpoint(session, checkpoint)
    return checkpoint


def change_key(
    session: TenantSession, key: Signer, now: datetime, previous_key_lost: str | None = None
) -> list[Checkpoint]:
    """Record that ``key`` signs the trail from now on; return the checkpoints over this entry, the old key's first.

    Return an empty list if the key signs the trail already, or if no key has signed the trail yet.
    ``previous_key_lost`` is the reason why the previous key cannot vouch for the new one.

    Raises:
        WrongSigningKeyError: another key signs the trail, and it is neither configured as the previous key nor lost.
        SecretUnavailableError: the previous key is configured, but cannot be used.
    """
    if audit_log.head(session) is None:
        return []
    audit_log.lock(session)  # otherwise another process could change the key between the check and the signature
    current = audit_log.current_key_ids(session)
    if not current or key.key_id in current:
        return []
    previous = None if previous_key_lost is not None else previous_signing_key()
    if previous_key_lost is None and (previous is None or previous.key_id not in current):
        raise WrongSigningKeyError(
            f"{SIGNING_KEY_VARIABLE}: the trail of {session.tenant_id!r} is signed with the key "
            f"{', '.join(sorted(current))}, not with {key.key_id}. To replace it, set {PREVIOUS_KEY_VARIABLE} to a "
            "reference to that key. If it is lost, run verifywise-mlflow audit rotate-key with --previous-key-lost"
        )
    entry = AuditEntry(
        tenant_id=session.tenant_id,
        occurred_at=now,
        kind="signing key changed",
        sync_id="",
        source_uri="",
        outcome="noted",
        code_version=__version__,
        object_kind="signing key",
        object_name=key.key_id,
        reason=f"the previous key is lost: {previous_key_lost}" if previous is None else None,
        counts={"previous_keys": sorted(current), "new_key": key.key_id, "new_public_key": key.public.pem()},
    )
    audit_log.append(session, [entry])
    head = audit_log.head(session)
    assert head is not None
    if previous is None:
        checkpoints = [sign_checkpoint(session.tenant_id, head, key, now, replaces=current)]
    else:
        checkpoints = [
            sign_checkpoint(session.tenant_id, head, previous, now, next_key=key.public),
            sign_checkpoint(session.tenant_id, head, key, now),
        ]
    for checkpoint in checkpoints:
        audit_log.append_checkpoint(session, checkpoint)
    return checkpoints


def _key(variable: str) -> Signer | None:
    reference = os.environ.get(variable)
    if not reference:
        return None
    if reference.startswith(_PKCS11_SCHEME):
        from verifywise_mlflow.services.pkcs11_key import Pkcs11Key

        try:
            return Pkcs11Key.from_uri(reference)
        except SecretUnavailableError as error:
            raise SecretUnavailableError(f"{variable}: {error}") from None
    # This imports cryptography, which takes 0.05 s. Most syncs sign nothing.
    from verifywise_mlflow.audit.keys import InvalidKeyError, SigningKey

    try:
        return SigningKey.from_pem(SecretReference(reference).resolve().encode())
    except ValidationError:
        # The message does not quote the value: it may be the key itself.
        raise SecretUnavailableError(
            f"{variable} must be a reference to a key, env:NAME, file:/absolute/path or pkcs11:..., not the key"
        ) from None
    except SecretUnavailableError as error:
        raise SecretUnavailableError(f"{variable}: {error}") from None
    except InvalidKeyError as error:
        raise SecretUnavailableError(f"{variable}: {reference} is not a signing key: {error}") from None
