"""A tenant whose verdicts are delivered to a VerifyWise server: functions to seed, deliver and read the server.

The server is read over the REST API, so that the same tests run against a real server: see ``conftest.py``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.delivery.drain import Drain, DrainReport
from verifywise_mlflow.delivery.target import Plan
from verifywise_mlflow.delivery.verifywise.remote import EvidenceItem, InventoryEntry, ModelRisk, RemoteFile, VerifyWise
from verifywise_mlflow.delivery.verifywise.target import VerifyWiseTarget
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow.persistence.repositories import delivery_outbox
from verifywise_mlflow.persistence.repositories.delivery_outbox import HeldVersion, OutboxSummary
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, rule_yaml, store_record, write_policy
from verifywise_mlflow_tests.support.stored_states import NOON
from verifywise_mlflow_tests.support.syncing import rows
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, Api

TARGET = "verifywise"
REAL = "real"
REAL_URL = os.environ.get("VERIFYWISE_TEST_URL")
_REAL = (REAL,) if REAL_URL else ()
EVERY_SERVER = (*Dialect, *_REAL)
ONE_SERVER = (Dialect.B, *_REAL)
"""For tests that do not depend on the release."""
OWNER_RULE, PURPOSE_RULE = "owner-named", "purpose-named"
MODEL = "fraud"


@dataclass(slots=True)
class Delivering:
    """A tenant, its store, and the server that it delivers to."""

    store: Store
    tenant: Tenant
    client: VerifyWise
    """The tests' own connection to the server."""
    model: str = MODEL
    """The name of the seeded model."""
    now: datetime = NOON
    reports: list[DrainReport] = field(default_factory=list)

    def seed(
        self, number: int = 1, /, *, model: str | None = None, stage: str | None = "Production", **tags: str
    ) -> None:
        """Store a version with tags, and evaluate it. A rule fails if its tag is not given."""
        tags = {"owner": "Bob", "business_purpose": "Something", **tags}
        store_record(self.store, model or self.model, number, self.now, stage=stage, **tags)
        self.evaluate()

    def evaluate(self) -> None:
        """Evaluate what is due, as a sync does."""
        evaluate(self.tenant, self.store, self.now)

    def drain(self, **settings: object) -> Drain:
        """Return a drain, with some settings of the delivery replaced."""
        current = self.tenant.delivery.verifywise
        assert current is not None
        changed = current.model_copy(update=settings)
        target = VerifyWiseTarget(self.tenant, changed, self.store, now=lambda: self.now)
        return Drain(self.store, self.tenant.tenant_id, target, now=lambda: self.now)

    def deliver(self, *, confirmed: bool = False, retry_parked: bool = False, **settings: object) -> DrainReport:
        """Deliver what is due."""
        report = self.drain(**settings).run(confirmed=confirmed, retry_parked=retry_parked)
        self.reports.append(report)
        return report

    def plan(self, **settings: object) -> Plan:
        """Return what a delivery would write."""
        return self.drain(**settings).plan()

    def grant_waiver(self, rule: str) -> None:
        """Grant a waiver of a rule by command, for the seeded model."""
        expires = self.now.date() + timedelta(days=30)
        waiver = Waiver(rule=rule, model=self.model, approver="Grace", reason="A pilot until spring.", expires=expires)
        grant_waiver(self.store, self.tenant, waiver, self.now)

    def recreate(self, number: int) -> None:
        """Record that the version is the second version with its number."""
        values = {"tenant": self.tenant.tenant_id, "model": self.model, "number": number, "now": self.now}
        with self.store.begin_shared() as connection:
            connection.execute(
                text(
                    "INSERT INTO verifywise_mlflow.model_versions "
                    "(tenant_id, model_name, version_number, aliases, tags, hidden_from_search, problems, incarnation, "
                    "fingerprint, changed_at) VALUES (:tenant, :model, :number, '[]', '{}', false, '[]', 2, 'f', :now)"
                ),
                values,
            )

    def forget_ledger(self) -> None:
        """Delete the ledger, as an older backup of the database would."""
        with self.store.begin_shared() as connection:
            connection.execute(text("DELETE FROM verifywise_mlflow.delivery_ledger"))

    def delete_entry(self, server: VerifyWiseServer) -> None:
        """Delete the only inventory entry, as a person would."""
        answer = Api(server, ADMIN).send("DELETE", f"/modelInventory/{self.entry().id}")
        assert answer.status == 200

    def delete_risk(self, server: VerifyWiseServer) -> None:
        """Delete the only risk, as a person would."""
        (risk,) = self.risks()
        answer = Api(server, ADMIN).send("DELETE", f"/modelRisks/{risk.id}")
        assert answer.status == 200

    def later(self, **duration: float) -> None:
        """Move the clock."""
        self.now += timedelta(**duration)

    def entries(self) -> list[InventoryEntry]:
        """Return the tenant's inventory entries, oldest first."""
        # A real server also has the entries of earlier tests, whose tenants had other addresses.
        ours = [
            entry
            for entry in self.client.inventory()
            if str(entry.fields.get("reference_link")).startswith(self.tenant.tracking_uri)
        ]
        return sorted(ours, key=lambda entry: entry.id)

    def entry(self) -> InventoryEntry:
        """Return the only entry."""
        (entry,) = self.entries()
        return entry

    def risks(self) -> list[ModelRisk]:
        """Return the risks of the tenant's entries, oldest first."""
        ids = {entry.id for entry in self.entries()}
        return sorted((risk for risk in self.client.risks() if risk.model_id in ids), key=lambda risk: risk.id)

    def risk_statuses(self) -> list[str]:
        """Return the status of each risk, oldest first."""
        return [str(risk.fields["status"]) for risk in self.risks()]

    def evidence(self) -> list[EvidenceItem]:
        """Return the evidence of the tenant's entries."""
        ids = {entry.id for entry in self.entries()}
        return [item for item in self.client.evidence() if ids & set(item.mapped_model_ids)]

    def files(self) -> list[RemoteFile]:
        """Return the files that deliveries made, oldest first."""
        ids = {entry.id for entry in self.entries()}
        found = [file for file in self.client.files() if file.filename.startswith("mlflow-")]
        return sorted((file for file in found if file.model_id in {None, *ids}), key=lambda file: file.id)

    def outbox(self) -> OutboxSummary:
        """Return what is pending."""
        with self.store.begin(self.tenant.tenant_id) as session:
            return delivery_outbox.summary(session, TARGET)

    def held(self) -> list[HeldVersion]:
        """Return the versions that are held back, with the reason."""
        with self.store.begin(self.tenant.tenant_id) as session:
            return delivery_outbox.held_versions(session, TARGET, 100)

    def entries_of_trail(self) -> list[Mapping[str, object]]:
        """Return the entries of the audit trail about deliveries."""
        return [row for row in rows(self.store, "audit_entries", "sequence") if row["kind"] == "delivery"]


def writes(report: DrainReport) -> Counter[str]:
    """Return what a delivery wrote, without the number of requests."""
    return Counter({action: count for action, count in report.counts.items() if action != "requests"})


def policy_file(folder: Path) -> Path:
    """Write a policy of two rules, about the owner and the purpose."""
    return write_policy(
        folder / "policy.yaml",
        rule_yaml(OWNER_RULE, """'owner == "Ada"'""", title="Somebody answers for the model"),
        rule_yaml(PURPOSE_RULE, """'business_purpose.contains("fraud")'""", title="The purpose is stated"),
    )


def delivering_tenant(folder: Path, url: str, email: str, **settings: object) -> Tenant:
    """Return a tenant that delivers to a server; the password is in ``VERIFYWISE_TEST_PASSWORD``."""
    return Tenant.model_validate(
        {
            "tenant_id": "acme",
            "tracking_uri": "https://mlflow.acme.example",
            "compliance": {"default_policy": False, "policies": [str(policy_file(folder))]},
            "delivery": {
                "verifywise": {
                    "url": url,
                    "auth": {"kind": "login", "email": email, "password": "env:VERIFYWISE_TEST_PASSWORD"},
                    "allow_private_network": True,
                    **settings,
                }
            },
        }
    )


@contextmanager
def closing_client(client: VerifyWise) -> Iterator[VerifyWise]:
    """Close a client at the end of the block."""
    try:
        yield client
    finally:
        client.close()
