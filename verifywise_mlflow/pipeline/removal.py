"""When something that a listing no longer shows counts as gone.

A listing may miss a row (pages shift while rows are deleted; a permission was revoked), and a server
may come back empty after a botched restore. So a listing alone removes nothing: it has to be complete,
the loss has to be small, and each object is asked for by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from verifywise_mlflow.connector.errors import ConnectorError, NotFoundError

K = TypeVar("K")

FREE_REMOVALS = 20
"""So few may always go at once: small registries are tidied up as a whole."""
LARGEST_SHARE = 0.25
"""Beyond this share of what is known, a loss is held back and shown."""
ASKED_A_SYNC = 200
"""Objects asked for one by one; the rest is for the next sync."""


@dataclass(slots=True)
class Removal(Generic[K]):
    """What became of the objects that were missing."""

    gone: list[K] = field(default_factory=list)
    unconfirmed: list[tuple[K, str]] = field(default_factory=list)
    """Missing, but the server did not say that they are gone."""
    notes: list[str] = field(default_factory=list)


def confirm_removal(
    missing: Sequence[K], *, known: int, listing_is_complete: bool, ask: Callable[[K], object], what: str
) -> Removal[K]:
    """Ask the server for each missing object; return those that it says are not there."""
    removal: Removal[K] = Removal()
    if not missing:
        return removal
    if not listing_is_complete:
        removal.notes.append(f"{len(missing)} {what} are missing from a listing that is not complete: all are kept")
        return removal
    if len(missing) > max(FREE_REMOVALS, known * LARGEST_SHARE):
        removal.notes.append(
            f"{len(missing)} of {known} {what} disappeared at once: held back until a person has looked at the server"
        )
        return removal
    if len(missing) > ASKED_A_SYNC:
        removal.notes.append(f"{len(missing) - ASKED_A_SYNC} more missing {what} are left to the next sync")
    for key in missing[:ASKED_A_SYNC]:
        try:
            ask(key)
        except NotFoundError:
            removal.gone.append(key)
        except ConnectorError as error:
            removal.unconfirmed.append((key, str(error)))
        else:
            removal.unconfirmed.append((key, "the listing does not show it, but the server still has it"))
    return removal
