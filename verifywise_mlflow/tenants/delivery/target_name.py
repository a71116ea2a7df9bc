"""The name of a target, which the outbox, the ledger and the command line use."""

from __future__ import annotations

from typing import NewType

TargetName = NewType("TargetName", str)
"""``verifywise``, ``openlineage``, or ``webhook`` with the webhook's own name. Keys contain it, so it never changes."""
