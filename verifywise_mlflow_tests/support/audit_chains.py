"""Builds audit chains in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from verifywise_mlflow.audit.chain import ChainLink, make_link
from verifywise_mlflow.audit.checkpoint import sign_checkpoint
from verifywise_mlflow.audit.keys import PublicKey, SigningKey
from verifywise_mlflow.audit.verification import AnchoredCheckpoint

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
KEY = SigningKey.generate()


def make_chain(reasons: Sequence[str], tenant_id: str = "acme") -> list[ChainLink]:
    """Return a chain of entries with these reasons."""
    links: list[ChainLink] = []
    for reason in reasons:
        links.append(make_link({"tenant_id": tenant_id, "kind": "x", "reason": reason}, links[-1] if links else None))
    return links


def make_chain_of_length(length: int) -> list[ChainLink]:
    """Return a chain of ``length`` entries."""
    return make_chain([f"reason {number}" for number in range(1, length + 1)])


def signed_checkpoint(
    link: ChainLink, key: SigningKey = KEY, tenant_id: str = "acme", next_key: PublicKey | None = None
) -> AnchoredCheckpoint:
    """Return a checkpoint that signs an entry and, optionally, vouches for another key."""
    return AnchoredCheckpoint(link.sequence, sign_checkpoint(tenant_id, link, key, NOW, next_key))


def renamed(links: Sequence[ChainLink], tenant_id: str) -> list[ChainLink]:
    """Return the same entries as the consistent chain of another tenant."""
    chain: list[ChainLink] = []
    for link in links:
        chain.append(make_link({**json.loads(link.text), "tenant_id": tenant_id}, chain[-1] if chain else None))
    return chain


def renumbered(links: Sequence[ChainLink]) -> list[ChainLink]:
    """Return the same texts and hashes with sequence numbers by position."""
    return [ChainLink(position, link.text, link.hash) for position, link in enumerate(links, 1)]
