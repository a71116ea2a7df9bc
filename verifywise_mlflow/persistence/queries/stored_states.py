"""The states that a verification compares: states in the log, and states in the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from verifywise_mlflow.persistence.state_contents import CELL_SEPARATOR, VERDICT_COLUMNS


class LoggedState(NamedTuple):
    """A state in the log."""

    position: int
    kind: str
    object_id: str
    written_at: datetime
    sync_id: str
    content: str


class StoredState(NamedTuple):
    """A state in a table."""

    table: str
    row: str
    """The part of the key that distinguishes the row from other rows of its version."""
    written_at: datetime
    sync_id: str | None
    """None if the table does not have the sync."""
    content: str
    """The hash of the state's content."""
    ended_at: datetime | None = None
    ended_by: str | None = None


class StoredVerdict(NamedTuple):
    """A verdict in a table."""

    table: str
    cells: tuple[str, ...]
    """The cells, in the order of ``VERDICT_COLUMNS``."""
    written_at: datetime
    sync_id: str
    open_since: datetime | None
    ended_at: datetime | None
    ended_by: str | None

    @property
    def rule_id(self) -> str:
        """The rule."""
        return self.cells[0]

    @property
    def verdict(self) -> str:
        """The outcome."""
        return self.cells[_OUTCOME]

    @property
    def fingerprint(self) -> str:
        """The hash of the verdict, as it is stored."""
        return self.cells[-1]


class StoredVerdicts(NamedTuple):
    """A row of verdicts: the current verdicts on a version, or former verdicts that ended together.

    Each column is one text: splitting a text is much cheaper than reading an array.
    """

    table: str
    size: int
    """The number of verdicts; 0 if an array has another number of elements, a second dimension, or a first element with
    another number than 1."""
    columns: Sequence[str]
    """The columns, in the order of ``VERDICT_COLUMNS``, each with its cells joined."""
    first_written_at: datetime | None
    first_sync_id: str | None
    written_at: Sequence[datetime | None] | None
    """Null if all verdicts have the time and the sync of the first verdict. Only a forged row has a null among them."""
    sync_ids: Sequence[str] | None
    opened_with_first: Sequence[int] | None
    """The places, from 1 on, of the gaps that opened at the time of the first verdict."""
    open_since: Sequence[datetime | None] | None
    """Null if no other verdict is a gap."""
    ended_at: datetime | None
    ended_by: str | None

    def is_well_formed(self) -> bool:
        """Return whether each verdict has one cell in each column, and a time; otherwise the row is forged."""
        separators = {column.count(CELL_SEPARATOR) for column in self.columns}
        return self.size > 0 and separators == {self.size - 1} and None not in (self.written_at or ())

    def outcomes(self) -> list[str]:
        """Return the outcome of each verdict."""
        return self.columns[_OUTCOME].split(CELL_SEPARATOR)

    def single(self) -> Iterator[StoredVerdict]:
        """Yield the verdicts of a well-formed row one by one."""
        opened = frozenset(self.opened_with_first or ())
        columns = [column.split(CELL_SEPARATOR) for column in self.columns]
        for place, cells in enumerate(zip(*columns, strict=True)):
            written_at = self.written_at[place] if self.written_at else self.first_written_at
            sync_id = self.sync_ids[place] if self.sync_ids else self.first_sync_id
            open_since = self.first_written_at if place + 1 in opened else None
            if self.open_since:
                open_since = self.open_since[place]
            yield StoredVerdict(
                self.table,
                cells,
                written_at,  # type: ignore[arg-type]  # a row has one verdict at least
                sync_id or "",
                open_since,
                self.ended_at,
                self.ended_by,
            )


_OUTCOME: Final = VERDICT_COLUMNS.index("verdict")


class StoredBadge(NamedTuple):
    """A badge."""

    table: str
    badge: str
    written_at: datetime
    sync_id: str
    ended_at: datetime | None
    ended_by: str | None
