"""The actor: the person who ran the program that wrote an entry, according to the systems that authenticated them.

This product has no login of its own. The operating system, Postgres, and the reverse proxy in front of Dagster each
name the account that they have authenticated.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_NAME_CHARS = 200
"""The maximum number of characters of a name. A longer name is cut. In canonical JSON, an escaped character takes up to
12 bytes."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The accounts under which an entry was written."""

    os_user: str
    """The operating system's account that ran the command or the Dagster process."""
    database_role: str
    """The role that logged in to Postgres."""
    dagster_user: str | None = None
    """Who requested the Dagster run, if a reverse proxy authenticated them. None for sensors and commands."""

    def __post_init__(self) -> None:
        """Shorten the names, so that no entry becomes too long for the trail."""
        for name in ("os_user", "database_role", "dagster_user"):
            if (text := getattr(self, name)) is not None:
                object.__setattr__(self, name, text[:MAX_NAME_CHARS])

    @property
    def name(self) -> str:
        """The person, as precisely as the accounts show."""
        return self.dagster_user or self.os_user
