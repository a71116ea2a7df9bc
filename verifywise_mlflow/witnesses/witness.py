"""The interface of witnesses, and the settings that all of them have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Protocol, TypeAlias

from pydantic import Field

from verifywise_mlflow.tenants.validators import ConfigSection
from verifywise_mlflow.witnesses.stamped_checkpoint import StampedCheckpoint

Receipt: TypeAlias = Mapping[str, str]
"""The response of a witness: where the checkpoint is, or a time-stamp token. It maps names to texts, without
secrets."""


class WitnessError(Exception):
    """A witness did not accept a checkpoint. The message contains no secret and states what to do."""


class Witness(Protocol):
    """A system that receives checkpoints."""

    @property
    def name(self) -> str:
        """The witness's name for people and in the receipts."""

    @property
    def interval(self) -> timedelta:
        """The time between two checkpoints of a tenant."""

    def is_for(self, tenant_id: str) -> bool:
        """Return whether the witness receives the checkpoints of a tenant."""

    def store(self, tenant_id: str, stamped: StampedCheckpoint) -> Receipt:
        """Store a checkpoint permanently. Storing it again does no harm.

        Raises:
            WitnessError: The witness did not accept the checkpoint.
            HttpError: The server did not accept it, or it is unknown whether it did.
            SecretUnavailableError: A reference cannot be resolved.
        """


class WitnessSettings(ConfigSection):
    """Base of the settings in witnesses.yaml."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
    """Receipts are stored under this name. A witness with a new name counts as a new witness without checkpoints."""
    interval_minutes: Annotated[int, Field(ge=10, le=7 * 24 * 60)] = 60
    """The minimum time between two checkpoints of a tenant. The newest is sent, since it covers all earlier entries."""
    tenants: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The tenants whose checkpoints the witness gets; null for all tenants. A checkpoint names its tenant."""

    @property
    def interval(self) -> timedelta:
        """The time between two checkpoints of a tenant."""
        return timedelta(minutes=self.interval_minutes)

    def is_for(self, tenant_id: str) -> bool:
        """Return whether the witness receives the checkpoints of a tenant."""
        return self.tenants is None or tenant_id in self.tenants
