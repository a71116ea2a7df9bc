"""The result of verifying a tenant's records: what was damaged, what was checked, and what was not proved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

DamageKind = Literal["changed", "removed", "added", "not committed as it is", "does not follow"]
"""``removed``: it was logged, and no row has it; ``added``: a row that no write logged. ``does not follow``: a verdict
that its inputs do not give, or a record that the rows of MLflow do not give."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a row that is not as it was written."""

    name: str
    stored: str | None = None
    """What the row has, as text; null also for SQL's null."""
    written: str | None = None
    """What was written, if that is known."""
    is_proved: bool = False
    """Whether the logged hash proves what was written."""


@dataclass(frozen=True, slots=True)
class RecordDamage:
    """A row that is not as it was written."""

    kind: DamageKind
    table: str
    sentence: str
    model_name: str = ""
    """As Postgres keeps it. Empty if the row belongs to no model."""
    version_number: int = 0
    """0 if the row belongs to no version."""
    row: str = ""
    """What distinguishes it from other rows of the version: a rule, an event, a waiver, positions of the log."""
    written_at: datetime | None = None
    """When it was written, according to the log; according to the row if the log does not have it."""
    sync_id: str = ""
    fields: Sequence[FieldChange] = ()


@dataclass(slots=True)
class Checked:
    """How much was compared."""

    states: int = 0
    """States in the log."""
    records: int = 0
    """States of records in the tables."""
    verdicts: int = 0
    versions: int = 0
    judged: int = 0
    """Verdicts that were derived again from their inputs."""
    not_judged: int = 0
    """Verdicts that could not be derived again: above all those of an unknown rule or another release, and errors."""

    def add(self, other: Checked) -> None:
        """Add what another one has compared."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class AcceptedState:
    """A state that no sync committed. If its row is not as the log has it, it is a damage as well."""

    position: int
    """In the log."""
    kind: str
    model_name: str
    """As Postgres keeps it; empty if the state belongs to no model."""
    version_number: int
    written_at: datetime
    """As the log has it: nothing proves it."""
    sync_id: str
    """The sync in whose name it was written; empty for commands."""


@dataclass(frozen=True, slots=True)
class AcceptedPart:
    """States that a person accepted, with what the entry of the trail says about it."""

    entry: int
    """Its sequence number."""
    first: int
    """The position of the first one in the log."""
    last: int
    accepted_at: datetime | None = None
    """Null if the entry cannot be read: the trail is damaged then."""
    by: str = ""
    reason: str = ""
    states: Sequence[AcceptedState] = ()
    """Those of a sync that was under way may be among them. Not all, if they are very many."""


MAX_DAMAGES = 10_000
"""Damaged rows that are described one by one, so that memory stays bounded; the others are counted."""


@dataclass(slots=True)
class RecordReport:
    """What the verification of a tenant's records found."""

    tenant_id: str
    damages: list[RecordDamage] = field(default_factory=list)
    damage_count: int = 0
    """All of them; more than ``damages`` if there are very many."""
    checked: Checked = field(default_factory=Checked)
    committed: int = 0
    """The number of states that the last commitment in the trail covers, even if some are damaged."""
    last_commitment: int | None = None
    """The sequence number of the last entry that commits states."""
    not_committed: int = 0
    """States in the log beyond that number, as of a sync that is under way or was interrupted; negative if states are
    missing."""
    sample: int | None = None
    """How many versions were requested; null for all."""
    accepted: Sequence[AcceptedPart] = ()
    """States that no sync committed, and a person accepted."""
    not_proved: list[str] = field(default_factory=list)
    """What this verification did not prove, in sentences."""
    seconds: float = 0.0

    @property
    def is_intact(self) -> bool:
        """Whether no damage was found."""
        return self.damage_count == 0

    def add(self, damages: Sequence[RecordDamage]) -> None:
        """Add damaged rows."""
        self.damage_count += len(damages)
        self.damages += damages[: max(MAX_DAMAGES - len(self.damages), 0)]
