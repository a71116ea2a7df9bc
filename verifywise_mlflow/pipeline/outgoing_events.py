"""Writes the events for webhooks in the transaction of the changes that they report.

So a sync that is killed neither loses nor repeats an event. For a tenant without webhooks, nothing is read or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from verifywise_mlflow.persistence.queries.compliance_states import ComplianceState, compliance_states
from verifywise_mlflow.persistence.repositories import delivery_events, delivery_outbox
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.services.version_events.compliance import compliance_events
from verifywise_mlflow.services.version_events.event import VersionEvent, cloud_event
from verifywise_mlflow.tenants.mlflow_links import version_page_url

if TYPE_CHECKING:
    from verifywise_mlflow.compliance.rules.rule import Rule


def write_outgoing_events(context: StageContext, session: TenantSession, events: Iterable[VersionEvent]) -> None:
    """Write events for the webhooks that are set to receive their types, and mark their versions as pending."""
    webhooks = context.tenant.delivery.webhooks
    if not webhooks:
        return
    bodies = [(event.type, (event.model_name, event.version_number), _body(context, event)) for event in events]
    for webhook in webhooks:
        wanted = [(key, body) for event_type, key, body in bodies if event_type in webhook.events]
        delivery_events.append(session, webhook.target, wanted, context.now)
        delivery_outbox.enqueue(
            session,
            [webhook.target],
            dict.fromkeys(key for key, _ in wanted),
            cause="events",
            sync_id=context.sync_id,
            now=context.now,
        )


class ComplianceEvents:
    """Compares the badges and gaps of a batch of versions before and after it is written."""

    def __init__(self, context: StageContext, rules: Sequence[Rule]) -> None:
        """Prepare the comparison. It is skipped for a tenant without webhooks."""
        self._context = context
        self._rules: Mapping[str, Rule] = {rule.id: rule for rule in rules}
        self._is_wanted = bool(context.tenant.delivery.webhooks)

    def states(self, session: TenantSession, keys: Sequence[Key]) -> Mapping[Key, ComplianceState]:
        """Return the states of versions; an empty mapping if the tenant has no webhooks."""
        return compliance_states(session, keys) if self._is_wanted else {}

    def write(self, session: TenantSession, before: Mapping[Key, ComplianceState], keys: Sequence[Key]) -> None:
        """Write the events between an earlier state of versions and the current one."""
        events = (
            event
            for key, after in self.states(session, keys).items()
            for event in compliance_events(key, before.get(key), after, self._rules)
        )
        write_outgoing_events(self._context, session, events)


def _body(context: StageContext, event: VersionEvent) -> str:
    return cloud_event(
        event,
        tenant_id=context.tenant.tenant_id,
        sync_id=context.sync_id,
        seen_at=context.now,
        page_url=version_page_url(context.tenant, event.model_name, event.version_number),
    )
