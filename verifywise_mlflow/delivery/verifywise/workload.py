"""The pending versions of a batch, with their current states and the ledger's rows about them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from verifywise_mlflow.delivery.verifywise import entry
from verifywise_mlflow.delivery.verifywise.desired_state import DesiredState, RuleText, desired_state, is_in_scope
from verifywise_mlflow.delivery.verifywise.steps import Ledger
from verifywise_mlflow.persistence.queries import delivery_states
from verifywise_mlflow.persistence.queries.delivery_states import DeliveryState
from verifywise_mlflow.persistence.repositories import delivery_ledger
from verifywise_mlflow.persistence.repositories.delivery_ledger import Subject
from verifywise_mlflow.persistence.repositories.delivery_outbox import PendingVersion
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.tenants.delivery.verifywise import VERIFYWISE, VerifyWiseSettings
from verifywise_mlflow.tenants.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Workload:
    """A pending version."""

    version: PendingVersion
    subject: Subject
    desired: DesiredState | None
    """The desired state. None if nothing is delivered: the version is out of scope without an entry, or not
    evaluated."""
    ledger: Ledger
    predecessors: tuple[tuple[Subject, Ledger], ...]
    """Deleted versions with the same name and number, if they were delivered."""


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """The settings that decide what is delivered, and to where."""

    tenant: Tenant
    verifywise: VerifyWiseSettings
    rules: Mapping[str, RuleText]
    """The texts of each rule, by id."""
    destination: str
    has_intended_use: bool
    """Whether the release's inventory has the field ``intended_use``."""


def destination(url: str, organization: str) -> str:
    """Return a digest of an address and of an organization at this address. Remote ids belong to this organization."""
    return hashlib.sha256(f"{url}\x1f{organization}".encode()).hexdigest()[:16]


def workloads(
    session: TenantSession, settings: DeliverySettings, batch: Sequence[PendingVersion], now: datetime
) -> Iterator[Workload]:
    """Read all data that a delivery needs for a batch at once, then yield its versions."""
    keys = [version.key for version in batch]
    uses = delivery_states.version_uses(session, keys)
    rows = delivery_ledger.rows_of(session, VERIFYWISE, settings.destination, keys)
    relevant = [
        key
        for key, use in uses.items()
        if is_in_scope(use, settings.verifywise.versions) or entry.ITEM in rows.get((*key, use.incarnation), {})
    ]
    states = {state.key: state for state in delivery_states.delivery_states(session, relevant, now)}
    policies = delivery_states.policy_versions(session)
    ledgers: dict[tuple[str, int], dict[int, Ledger]] = {}
    for (name, number, incarnation), ledger in rows.items():
        ledgers.setdefault((name, number), {})[incarnation] = ledger
    today = now.astimezone(UTC).date()
    for version in batch:
        state, use = states.get(version.key), uses.get(version.key)
        desired = _desired_state(settings, policies, state, today) if state else None
        of_version = ledgers.get(version.key, {})
        incarnation = use.incarnation if use else 0
        yield Workload(
            version,
            _subject(settings, version, incarnation),
            desired,
            of_version.get(incarnation, {}),
            tuple(
                (_subject(settings, version, number), ledger)
                for number, ledger in of_version.items()
                if number != incarnation and use is not None
            ),
        )


def _desired_state(
    settings: DeliverySettings, policies: Mapping[str, str], state: DeliveryState, today: date
) -> DesiredState:
    return desired_state(
        settings.tenant,
        settings.verifywise,
        settings.rules,
        policies,
        state,
        today,
        has_intended_use=settings.has_intended_use,
    )


def _subject(settings: DeliverySettings, version: PendingVersion, incarnation: int) -> Subject:
    return Subject(VERIFYWISE, settings.destination, version.model_name, version.version_number, incarnation)
