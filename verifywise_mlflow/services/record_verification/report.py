"""The result of verifying a tenant's records: what was damaged, what was checked, and what was not proved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

DamageKind = Literal["changed", "removed", "added", "not committed as it is", "does not follow"]
"""``removed``: a logged state without a row. ``added``: a row that no write logged. ``does not follow``: a verdict that
does not follow from its inputs, or a record that does not follow from the rows of MLflow."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a row that is not as it was written."""

    name: str
    stored: str | None = None
    """The value in the row, as text; null also for SQL's null."""
    written: str | None = None
    """The value that was written, if it is known."""
    is_proved: bool = False
    """Whether the logged hash proves the written value."""


@dataclass(frozen=True, slots=True)
class RecordDamage:
    """A row that is not as it was written."""

    kind: DamageKind
    table: str
    sentence: str
    model_name: str = ""
    """The name as Postgres stores it; empty if the row belongs to no model."""
    version_number: int = 0
    """0 if the row belongs to no version."""
    row: str = ""
    """What distinguishes the row from other rows of the version: a rule, an event, a waiver, positions of the log."""
    written_at: datetime | None = None
    """When the row was written, according to the log; according to the row if the log does not have it."""
    sync_id: str = ""
    fields: Sequence[FieldChange] = ()


@dataclass(slots=True)
class Checked:
    """How much was compared."""

    states: int = 0
    """The number of states in the log."""
    records: int = 0
    """The number of states of records in the tables."""
    verdicts: int = 0
    versions: int = 0
    judged: int = 0
    """The number of verdicts that were derived again from their inputs."""
    not_judged: int = 0
    """The number of verdicts that could not be derived again: mainly verdicts of an unknown rule or of another release,
    and errors."""

    def add(self, other: Checked) -> None:
        """Add the numbers of another comparison."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class AcceptedState:
    """A state that no sync committed. If its row differs from the log, the row is reported as a damage as well."""

    position: int
    """The position in the log."""
    kind: str
    model_name: str
    """The name as Postgres stores it; empty if the state belongs to no model."""
    version_number: int
    written_at: datetime
    """The time in the log, which nothing proves."""
    sync_id: str
    """The sync in whose name the state was written; empty for commands."""


@dataclass(frozen=True, slots=True)
class AcceptedPart:
    """States that a person accepted, with the content of the trail's entry about the acceptance."""

    entry: int
    """The sequence number of the entry."""
    first: int
    """The position of the first state in the log."""
    last: int
    accepted_at: datetime | None = None
    """When the person accepted the states; null if the entry cannot be read, which means that the trail is damaged."""
    by: str = ""
    reason: str = ""
    states: Sequence[AcceptedState] = ()
    """The accepted states; states of a sync that was running may be among them. If there are very many, only some are
    listed."""


MAX_DAMAGES = 10_000
"""The maximum number of damaged rows that are described one by one, so that memory stays bounded. Other damaged rows
are only counted."""


@dataclass(slots=True)
class RecordReport:
    """What the verification of a tenant's records found."""

    tenant_id: str
    damages: list[RecordDamage] = field(default_factory=list)
    damage_count: int = 0
    """The number of all damaged rows, including rows that ``damages`` leaves out if there are very many."""
    checked: Checked = field(default_factory=Checked)
    committed: int = 0
    """The number of states that the last commitment in the trail covers, even if some are damaged."""
    last_commitment: int | None = None
    """The sequence number of the last entry that commits states."""
    not_committed: int = 0
    """The number of states in the log minus ``committed``, such as states of a sync that is running or was interrupted;
    negative if states are missing."""
    sample: int | None = None
    """The number of versions that were requested; null for all."""
    accepted: Sequence[AcceptedPart] = ()
    """The states that no sync committed and that a person accepted."""
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
