"""The dialects of VerifyWise's REST API, and their differences."""

from __future__ import annotations

from enum import StrEnum


class Dialect(StrEnum):
    """A generation of releases."""

    A1 = "A1"
    """Release 2.1.1: one Postgres schema per organization."""
    A2 = "A2"
    """The development branch of March 2026: one schema for all organizations."""
    B = "B"
    """Releases with custom fields, ``external_key`` and model risk management."""

    @property
    def statuses(self) -> frozenset[str]:
        """The statuses of an inventory entry."""
        common = {"Approved", "Restricted", "Pending", "Blocked"}
        added = {Dialect.A1: set(), Dialect.A2: {"Rejected"}, Dialect.B: {"Retired"}}[self]
        return frozenset(common | added)

    @property
    def has_custom_fields(self) -> bool:
        """Whether there are custom fields and model risk management, and ``external_key`` is stored and unique."""
        return self is Dialect.B

    @property
    def drops_evidence_files(self) -> bool:
        """Whether evidence is created without its files. The files cannot be added or attached later either."""
        return self is Dialect.A2

    @property
    def requires_evidence_description(self) -> bool:
        """Whether evidence without the key ``description`` fails."""
        return self is not Dialect.B

    @property
    def forgets_models_of_evidence(self) -> bool:
        """Whether a PATCH of evidence without its models writes "Evidence removed" into their history."""
        return self is not Dialect.A1

    @property
    def revokes_tokens(self) -> bool:
        """Whether a deleted API token is refused."""
        return self is Dialect.B

    @property
    def version(self) -> str | None:
        """The response of ``/api/version``; None if there is no such route."""
        return None if self is Dialect.A1 else "1.7.0"
