"""When something that a listing no longer shows counts as gone.

A listing may miss a row (pages shift while rows are deleted; a permission was revoked), and a server
may come back empty after a botched restore. So a listing alone removes nothing: it has to be complete,
the loss has to be small, or accepted by a person, and each object is asked for by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from verifywise_mlflow.http.errors import ConnectorError, NotFoundError

K = TypeVar("K")

FREE_REMOVALS = 20
"""So few may always go at once: small registries are tidied up as a whole."""
LARGEST_SHARE = 0.25
"""Beyond this share of what is known, a loss is held back and shown."""
ASKED_A_SYNC = 200
"""Objects asked for one by one; the rest is for the next sync, unless a person accepted the loss."""


@dataclass(frozen=True, slots=True)
class Loss:
    """How many objects of a kind a listing no longer shows, of how many that were there."""

    what: str
    missing: int
    known: int

    @property
    def is_large(self) -> bool:
        """Whether a person has to look at it first."""
        return self.missing > max(FREE_REMOVALS, self.known * LARGEST_SHARE)

    @property
    def sentence(self) -> str:
        """How large it is."""
        return f"{self.missing:,} of {self.known:,} {self.what} disappeared at once"


@dataclass(slots=True)
class Removal(Generic[K]):
    """What became of the objects that were missing."""

    gone: list[K] = field(default_factory=list)
    unconfirmed: list[tuple[K, str]] = field(default_factory=list)
    """Missing, but the server did not say that they are gone."""
    notes: list[str] = field(default_factory=list)
    accepted: str | None = None
    """The large loss that a person let pass."""


def confirm_removal(
    missing: Sequence[K],
    *,
    losses: Sequence[Loss],
    listing_is_complete: bool,
    is_accepted: bool,
    ask: Callable[[K], object],
) -> Removal[K]:
    """Ask the server for each missing object; return those that it says are not there.

    Args:
        missing: what a listing does not show any more.
        losses: how large a loss that is: of these objects first, then of what would go with them.
        listing_is_complete: whether the listing has shown all that it can.
        is_accepted: whether a person has looked at the server and lets a large loss pass.
        ask: reads one object.
    """
    removal: Removal[K] = Removal()
    if not missing:
        return removal
    if not listing_is_complete:
        removal.notes.append(
            f"{len(missing):,} {losses[0].what} are missing from a listing that is not complete: all are kept"
        )
        return removal
    large = "; ".join(loss.sentence for loss in losses if loss.is_large)
    if large and not is_accepted:
        removal.notes.append(
            f"{large}: held back, and kept as they were, until a person has looked at the server and starts a sync "
            "with --accept-removals"
        )
        return removal
    removal.accepted = large or None
    asked = missing if is_accepted else missing[:ASKED_A_SYNC]
    if len(missing) > len(asked):
        removal.notes.append(f"{len(missing) - len(asked):,} more missing {losses[0].what} are left to the next sync")
    for key in asked:
        try:
            ask(key)
        except NotFoundError:
            removal.gone.append(key)
        except ConnectorError as error:
            removal.unconfirmed.append((key, str(error)))
        else:
            removal.unconfirmed.append((key, "the listing does not show it, but the server still has it"))
    return removal
