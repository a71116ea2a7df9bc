"""Reads checkpoints back from witnesses that are folders, for the daily verification to compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.common.settings_file import InvalidSettingsFileError
from verifywise_mlflow.witnesses.folder import FolderWitness
from verifywise_mlflow.witnesses.settings import ConfiguredWitness, load_witnesses
from verifywise_mlflow.witnesses.witness import WitnessError


@dataclass(slots=True)
class WitnessedCheckpoints:
    """Reads checkpoints back, and collects the errors if they cannot be read."""

    witnesses: Iterable[ConfiguredWitness]
    problems: dict[str, str] = field(default_factory=dict)
    """The errors, by tenant."""

    @classmethod
    def configured(cls) -> WitnessedCheckpoints:
        """Return the reader for the installation; it has no folders if the file is invalid. Sending reports that."""
        try:
            return cls(load_witnesses())
        except InvalidSettingsFileError:
            return cls(())

    def of_tenant(self, tenant_id: str) -> list[Checkpoint]:
        """Return a tenant's checkpoints."""
        checkpoints: list[Checkpoint] = []
        for witness in self.witnesses:
            if isinstance(witness, FolderWitness) and witness.is_for(tenant_id):
                try:
                    checkpoints += witness.checkpoints(tenant_id)
                except WitnessError as error:
                    self.problems[tenant_id] = str(error)
        return checkpoints
