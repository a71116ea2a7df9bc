"""The one hook through which all alerts go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.state import Book, Unsent, newest
from verifywise_mlflow.alerts.targets.target import NotDeliveredError, Target
from verifywise_mlflow.tenants.secrets import SecretUnavailableError

SECONDS = 30.0
"""After which no further target is tried in a round."""


def tell(
    alerts: Sequence[Alert], targets: Sequence[Target], book: Book, complain: Callable[[str], None]
) -> list[Unsent]:
    """Hand alerts to every target, with what it did not take before; return what is to be handed over again.

    A target that fails keeps no other from its alerts.

    Args:
        alerts: what is new.
        targets: where to.
        book: what the last round left.
        complain: takes a sentence about each target that failed.
    """
    deadline = time.monotonic() + SECONDS
    unsent = []
    for place, target in enumerate(targets, start=1):
        name = f"{place} {type(target).__name__}"
        waiting = newest([*book.waiting_for(name), *alerts])
        if not waiting:
            continue
        try:
            _deliver(target, waiting, deadline)
        except (NotDeliveredError, SecretUnavailableError) as error:
            complain(f"{len(waiting)} alerts wait for target {place} of alerts.yaml: {error}")
            unsent.append(Unsent(target=name, alerts=waiting))
    return unsent


def _deliver(target: Target, alerts: Sequence[Alert], deadline: float) -> None:
    if time.monotonic() > deadline:
        raise NotDeliveredError("the targets before it took too long")
    target.deliver(alerts)
