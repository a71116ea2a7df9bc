"""Delivers alerts to every target, and queues the alerts that a target did not accept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.state import AlertState, UndeliveredAlerts, keep_newest
from verifywise_mlflow.alerts.targets.target import AlertTarget, DeliveryError
from verifywise_mlflow.tenants.errors import SecretUnavailableError

DISPATCH_TIMEOUT_S = 30.0
"""Seconds after which a sensor tick starts no further delivery."""


def dispatch(
    alerts: Sequence[Alert], targets: Sequence[AlertTarget], state: AlertState, warn: Callable[[str], None]
) -> list[UndeliveredAlerts]:
    """Deliver new and undelivered alerts to every target; return those that must be delivered again.

    A failing target does not stop the others.

    Args:
        alerts: New alerts.
        targets: The targets of alerts.yaml, in order.
        state: The state of the previous tick.
        warn: Receives a sentence about each target that failed.
    """
    deadline = time.monotonic() + DISPATCH_TIMEOUT_S
    undelivered = []
    for position, target in enumerate(targets, start=1):
        name = f"{position} {type(target).__name__}"
        pending = keep_newest([*state.undelivered_to(name), *alerts])
        if not pending:
            continue
        try:
            _deliver(target, pending, deadline)
        except (DeliveryError, SecretUnavailableError) as error:
            warn(f"{len(pending)} alerts are undelivered to target {position} of alerts.yaml: {error}")
            undelivered.append(UndeliveredAlerts(target=name, alerts=pending))
    return undelivered


def _deliver(target: AlertTarget, alerts: Sequence[Alert], deadline: float) -> None:
    if time.monotonic() > deadline:
        raise DeliveryError("the targets before it took too long")
    target.deliver(alerts)
