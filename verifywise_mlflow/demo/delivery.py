"""The demo's delivery: a contract server that replaces VerifyWise, and its contents after the delivery.

Each tenant is an organization on that server. Its user has the role with the least rights that a delivery needs:
Editor.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from verifywise_mlflow.delivery.configured_targets import configured_targets
from verifywise_mlflow.delivery.drain import Drain, DrainReport
from verifywise_mlflow.delivery.target import OutcomeKind
from verifywise_mlflow.delivery.verifywise.custom_fields import BADGE, OWN_FIELDS
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow.demo.servers.verifywise_server.state import Document
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant

BUSY_TIMEOUT_S = 120.0


class DemoVerifyWise:
    """The contract server of the demo. Its data is in the demo's folder, so a resumed demo finds the data again."""

    def __init__(self, file: Path, password_file: Path, tenants: Sequence[str], port: int | None) -> None:
        """Describe the server; ``port`` is the port of an earlier demo."""
        self._password_file = password_file
        self._organizations = {tenant: number for number, tenant in enumerate(tenants, start=1)}
        self.server = VerifyWiseServer(Dialect.B, file=file, preferred_port=port)

    def prepare(self) -> None:
        """Add the users, and the custom fields, which an Admin would define."""
        password = secrets.token_urlsafe()
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(password)
        for tenant, organization in self._organizations.items():
            self.server.add_user(_email(tenant), password, organization=organization)
            if not self.server.stored("definition", organization):
                self.server.add("definition", _definitions(), organization)

    def settings(self, tenant: str) -> dict[str, object]:
        """Return the section ``delivery`` of a tenant."""
        auth = {"kind": "login", "email": _email(tenant), "password": f"file:{self._password_file}"}
        target = {"url": self.server.uri, "auth": auth, "versions": "all", "allow_private_network": True}
        return {"verifywise": target}

    def print_contents(self, console: Console) -> None:
        """Print the inventory of each organization, with badges, open risks and evidence."""
        for tenant, organization in self._organizations.items():
            console.print(f"VerifyWise holds for {escape(tenant)}:", highlight=False)
            console.print(_inventory(self.server, organization))
        mails = self.server.mails()
        console.print(
            f"It would have sent {sum(mails.values())} mails to those who have subscribed to changes of models.",
            style="dim",
            highlight=False,
        )


def deliver(database_url: str, tenants: Mapping[str, Tenant], report_progress: Callable[[str], None]) -> list[str]:
    """Deliver each tenant's pending changes; return sentences about incomplete deliveries."""
    problems = []
    with Store(database_url) as store:
        for name, tenant in tenants.items():
            for target in configured_targets(tenant, store):
                report = _run(Drain(store, name, target))
                counts = ", ".join(f"{number} {what}" for what, number in report.counts.items())
                report_progress(f"{name}: {counts or report.outcome}")
                if report.reason:
                    problems.append(f"{name}: {report.outcome}: {report.reason}")
                elif set(report.versions) - {OutcomeKind.DELIVERED.value}:
                    problems += [f"{name}: {remark}" for remark in report.remarks]
    return problems


def _run(drain: Drain) -> DrainReport:
    """Wait until a delivery that Dagster's sensor has requested has ended; then deliver."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        report = drain.run(confirmed=True)
        if report.outcome != "busy" or time.monotonic() > deadline:
            return report
        time.sleep(0.5)


def _email(tenant: str) -> str:
    return f"governance-pipeline@{tenant}.example"


def _definitions() -> list[Document]:
    return [
        {
            "entity_type": "model_inventory",
            "field_key": field.key,
            "label": field.label,
            "field_type": field.field_type,
            "options": None,
            "required": False,
        }
        for field in OWN_FIELDS
    ]


def _inventory(server: VerifyWiseServer, organization: int) -> Table:
    table = Table(
        Column("model", overflow="fold"),
        "version",
        "status",
        "badge",
        "open risks",
        "evidence files",
        box=None,
        padding=(0, 2, 0, 0),
    )
    badge_ids = [row["id"] for row in server.stored("definition", organization) if row["field_key"] == BADGE.key]
    badges = {
        row["entity_id"]: str(row["value"])
        for row in server.stored("value", organization)
        if row["definition_id"] in badge_ids
    }
    open_risks = [
        risk["model_id"]
        for risk in server.stored("risk", organization)
        if not risk["is_deleted"] and risk["status"] in ("Open", "In Progress")
    ]
    files = [file["modelId"] for file in server.stored("file", organization) if file["review_status"] != "superseded"]
    for model in server.stored("model", organization):
        table.add_row(
            escape(str(model["model"])),
            escape(str(model["version"])),
            str(model["status"]),
            badges.get(model["id"], "-"),
            str(open_risks.count(model["id"])),
            str(files.count(model["id"])),
        )
    return table
