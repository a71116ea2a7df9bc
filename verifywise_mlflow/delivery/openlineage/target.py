"""OpenLineage as a target of deliveries. It sends the lineage and the verdicts of each version whose state changed.

A repeated event is harmless: an event describes a state, and the names of runs and data sets do not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from verifywise_mlflow.delivery.batch_outcomes import BatchOutcomes
from verifywise_mlflow.delivery.http_post import EventConnection
from verifywise_mlflow.delivery.target import BatchResult, CheckFinding, Plan, PlannedChange
from verifywise_mlflow.http.errors import HttpError, InvalidSettingsError, UnreachableError
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.queries.lineage_states import lineage_states
from verifywise_mlflow.persistence.repositories.delivery_outbox import PendingVersion
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.delivery.openlineage import (
    OPENLINEAGE,
    FileTransportSettings,
    HttpTransportSettings,
    KafkaTransportSettings,
    OpenLineageSettings,
)
from verifywise_mlflow.tenants.delivery.target_name import TargetName
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.tenant import Tenant

if TYPE_CHECKING:
    from openlineage.client.transport.transport import Transport

    from verifywise_mlflow.delivery.openlineage.events import LineageEvent


@dataclass(frozen=True, slots=True)
class OpenLineageTarget:
    """A receiver of a tenant's lineage."""

    store: Store
    tenant: Tenant
    settings: OpenLineageSettings
    name: TargetName = OPENLINEAGE
    batch_size: int = 50
    confirm_above: int | None = None
    delivers_existing: bool = True

    @property
    def namespace(self) -> str:
        """The namespace of the tenant's models."""
        if self.settings.namespace:
            return self.settings.namespace
        workspace = f"/workspaces/{self.tenant.workspace}" if self.tenant.workspace else ""
        return self.tenant.tracking_uri + workspace

    @property
    def address(self) -> str:
        """The address of the transport, without credentials."""
        match self.settings.transport:
            case HttpTransportSettings(url=url):
                return url
            case FileTransportSettings(path=path):
                return path.as_uri()
            case KafkaTransportSettings(bootstrap_servers=servers, topic=topic):
                return f"kafka://{','.join(servers)}/{topic}"

    @property
    def settings_digest(self) -> str:
        """A digest of the settings that decide which events are sent and where."""
        return fingerprint([self.address, self.namespace, self.settings.include_verdicts])

    def check(self) -> Sequence[CheckFinding]:
        """Check whether the transport can be opened and whether an HTTP server responds. No event is sent."""
        try:
            with self.connect() as connection:
                sentence = connection.probe()
        except (HttpError, SecretUnavailableError, OSError) as error:
            return [CheckFinding(self.name, works=False, sentence=str(error))]
        return [CheckFinding(self.name, works=True, sentence=sentence)]

    @contextmanager
    def connect(self) -> Iterator[LineageConnection]:
        """Open the transport."""
        try:
            from verifywise_mlflow.delivery.openlineage.transports import open_transport
        except ImportError:
            raise InvalidSettingsError(
                "OpenLineage's library is not installed: install the package with the extra openlineage"
            ) from None
        with open_transport(self.settings.transport) as transport:
            yield LineageConnection(self, transport)


@dataclass(slots=True)
class LineageConnection:
    """An open transport."""

    target: OpenLineageTarget
    transport: Transport

    @property
    def destination(self) -> str:
        """The address of the transport."""
        return self.target.address

    @property
    def identity(self) -> str:
        """Our identity at the receiver, by reference."""
        match self.target.settings.transport:
            case HttpTransportSettings(api_key=key) if key:
                return f"token (from {key})"
            case KafkaTransportSettings(sasl=sasl) if sasl:
                return f"{sasl.username} (password from {sasl.password})"
            case _:
                return "none"

    def probe(self) -> str:
        """Return a sentence that states whether the transport works; no event is sent."""
        match self.target.settings.transport:
            case HttpTransportSettings():
                connection: EventConnection = self.transport.connection  # type: ignore[attr-defined]  # ours
                return f"it responded with {connection.options()} to OPTIONS; no event was sent"
            case FileTransportSettings(path=path):
                path.open("a").close()
                return f"{path} can be written"
            case KafkaTransportSettings():
                return "Kafka's client accepts the settings; no broker was asked"

    def plan(self, batches: Iterator[Sequence[PendingVersion]]) -> Plan:
        """Return the events that would be sent. Nothing is sent."""
        changes = [PlannedChange("send lineage", *version.key) for batch in batches for version in batch]
        return Plan(changes)

    def deliver(self, batch: Sequence[PendingVersion]) -> BatchResult:
        """Send the events of these versions."""
        from verifywise_mlflow.delivery.openlineage.events import Naming, lineage_events

        target, include_verdicts = self.target, self.target.settings.include_verdicts
        naming = Naming(target.tenant.tenant_id, target.namespace)
        with target.store.begin(target.tenant.tenant_id) as session:
            states = lineage_states(session, [version.key for version in batch], datetime.now(UTC))
        outcomes, sent = BatchOutcomes(batch), 0
        for version in batch:
            if not outcomes.may_continue:
                break
            state = states.get(version.key)
            try:
                for event in lineage_events(state, version.sync_id, naming, include_verdicts) if state else ():
                    self._emit(event)
                    sent += 1
            except HttpError as error:
                outcomes.record_failure(version, error)
            else:
                outcomes.record_success(version)
        return outcomes.result({"events sent": sent})

    def _emit(self, event: LineageEvent) -> None:
        try:
            self.transport.emit(event)
        except RuntimeError as error:  # raised by the library's transports
            raise UnreachableError(str(error)) from None
