"""The name of a target, which the outbox, the ledger and the command line use."""

from __future__ import annotations

from typing import NewType

TargetName = NewType("TargetName", str)
"""``verifywise``, ``openlineage`` or ``webhook:NAME``. Keys contain it, so the form never changes."""
