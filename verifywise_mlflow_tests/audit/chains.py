"""Chains in memory, as a tenant's trail is one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from verifywise_mlflow.audit.chain import Link, linked
from verifywise_mlflow.audit.checkpoint import sign
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.verification import Placed

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
KEY = SigningKey.new()


def chain(reasons: Sequence[str], tenant_id: str = "acme") -> list[Link]:
    """A chain of entries that differ by what they tell."""
    links: list[Link] = []
    for reason in reasons:
        links.append(linked({"tenant_id": tenant_id, "kind": "x", "reason": reason}, links[-1] if links else None))
    return links


def chain_of(length: int) -> list[Link]:
    """A chain of so many entries."""
    return chain([f"reason {number}" for number in range(1, length + 1)])


def signed(link: Link, key: SigningKey = KEY, tenant_id: str = "acme") -> Placed:
    """A checkpoint beside an entry."""
    return Placed(link.sequence, sign(tenant_id, link, key, NOW))


def renumbered(links: Sequence[Link]) -> list[Link]:
    """The same texts and hashes, each at the place where it now stands."""
    return [Link(place, link.text, link.hash) for place, link in enumerate(links, 1)]
