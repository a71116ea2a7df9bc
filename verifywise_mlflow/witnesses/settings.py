"""Reads ``witnesses.yaml``, the list of witnesses. The file contains secrets by reference only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Sequence
from typing import Annotated, Final, TypeAlias

from pydantic import Field, field_validator

from verifywise_mlflow.common.settings_file import load_settings_file
from verifywise_mlflow.tenants.validators import ConfigSection
from verifywise_mlflow.witnesses.bucket import BucketWitness
from verifywise_mlflow.witnesses.folder import FolderWitness
from verifywise_mlflow.witnesses.timestamp_authority import TimestampAuthority
from verifywise_mlflow.witnesses.webhook import WebhookWitness

WITNESSES_FILE_VARIABLE: Final = "VERIFYWISE_AUDIT_WITNESSES"
"""The environment variable with the path of the file. Without it, checkpoints stay in the database."""

ConfiguredWitness: TypeAlias = Annotated[
    FolderWitness | BucketWitness | WebhookWitness | TimestampAuthority, Field(discriminator="kind")
]


class WitnessesFile(ConfigSection):
    """The content of witnesses.yaml."""

    witnesses: Annotated[tuple[ConfiguredWitness, ...], Field(min_length=1)]

    @field_validator("witnesses")
    @classmethod
    def _have_different_names(cls, witnesses: tuple[ConfiguredWitness, ...]) -> tuple[ConfiguredWitness, ...]:
        repeated = [name for name, times in Counter(witness.name for witness in witnesses).items() if times > 1]
        if repeated:
            raise ValueError(f"two witnesses have the name {repeated[0]}: give each a name of its own")
        return witnesses


def find_unknown_tenants(witnesses: Sequence[ConfiguredWitness], tenant_ids: Container[str]) -> list[str]:
    """Return a sentence for each unknown tenant of a witness: checkpoints of a misspelled tenant are not sent."""
    return [
        f"the witness {witness.name} is for the tenant {tenant_id!r}, which is not in tenants.yaml: correct its name "
        "or remove it"
        for witness in witnesses
        for tenant_id in witness.tenants or ()
        if tenant_id not in tenant_ids
    ]


def load_witnesses() -> tuple[ConfiguredWitness, ...]:
    """Load the witnesses of the file that the environment variable names; none without the variable.

    Raises:
        InvalidSettingsFileError: The file is invalid or unreadable.
    """
    path = os.environ.get(WITNESSES_FILE_VARIABLE)
    return load_settings_file(path, WitnessesFile).witnesses if path else ()
