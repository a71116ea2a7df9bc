"""The proofs that the tests verify, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.leaf_tree import LeafTree
from verifywise_mlflow.exports.json_documents.proofs import ConsistencyProofDocument, StateProofDocument
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.proofs import provable_moment, prove_consistency, prove_version
from verifywise_mlflow_tests.audit.proofs.proved_tenants import FIRST_SYNC, ProvedTenants

# The tests change JSON of many shapes freely, hence Any.


@dataclass(frozen=True)
class Proofs:
    """The proofs that the tests verify."""

    newest: Any
    """The proof of version 1 of churn after the third sync."""
    first: Any
    """The proof of the same version after the first sync, with the entries up to the end of the second."""
    other_version: Any
    other_tenant: Any
    consistency: Any
    """The proof of consistency from the first to the last commitment."""
    log: LeafTree
    key: SigningKey
    public_key: Path


def proof_documents(proved: ProvedTenants) -> Proofs:
    """Return the proofs of the tenants' versions and of the trail of acme."""
    with proved.store.begin("globex") as session:
        other_tenant = StateProofDocument.of(prove_version(session, ("churn", 1), provable_moment(session))).to_json()
    with proved.store.begin("acme") as session:
        newest, first = (provable_moment(session, at) for at in (None, FIRST_SYNC))
        return Proofs(
            StateProofDocument.of(prove_version(session, ("churn", 1), newest)).to_json(),
            StateProofDocument.of(prove_version(session, ("churn", 1), first)).to_json(),
            StateProofDocument.of(prove_version(session, ("churn", 2), newest)).to_json(),
            other_tenant,
            _consistency(session, first.link.sequence, newest.link.sequence),
            LeafTree(state_log.leaf_hashes(session, 0, newest.commitment.size)),
            proved.key,
            proved.public_key,
        )


def _consistency(session: TenantSession, former: int, later: int) -> Any:
    return ConsistencyProofDocument.of(prove_consistency(session, former, later)).to_json()
