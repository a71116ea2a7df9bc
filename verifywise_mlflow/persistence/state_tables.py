"""The tables of prompt versions and agents. Both have a history, and their states are in the log of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table

from verifywise_mlflow.audit.state_leaf import State, StateKind
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.state_contents import AGENT_COLUMNS, PROMPT_VERSION_COLUMNS, hash_of_row
from verifywise_mlflow.persistence.tables import agent_history, agents, prompt_version_history, prompt_versions


@value_object
class StateTable:
    """A table of current states, and the history table in which a trigger saves former states."""

    kind: StateKind
    table: Table
    history: Table
    columns: Sequence[str]
    """The columns that make up a state's content."""
    key: tuple[str, ...]
    """The columns of the primary key after the tenant: a name or an ID, and a number if there is one."""

    def object_id(self, row: Mapping[str, Any]) -> str:
        """Return the name of a row in the log: the parts of the row's key, joined by slashes."""
        return "/".join(escape(str(row[column])) for column in self.key)

    def states(self, rows: Sequence[Mapping[str, Any]], sync_id: str, now: datetime) -> list[State]:
        """Return the states of rows for the log.

        In the log, the first column of a row's key takes the place of the model's name.
        """
        return [
            State(
                *(self.kind, escape(str(row[self.key[0]])), 0, self.object_id(row)),
                *(now, sync_id, hash_of_row(self.table, self.columns, row)),
            )
            for row in rows
        ]


PROMPT_VERSIONS: Final = StateTable(
    "prompt version",
    prompt_versions,
    prompt_version_history,
    PROMPT_VERSION_COLUMNS,
    ("prompt_name", "version_number"),
)
AGENTS: Final = StateTable("agent", agents, agent_history, AGENT_COLUMNS, ("model_id",))
