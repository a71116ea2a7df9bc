"""Two tenants with gaps of several ages, waivers, an AI system, and names that try to harm a spreadsheet or a terminal.

The tenants are written into the store directly, and evaluated as a sync evaluates them, on several days in March.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import insert

from verifywise_mlflow.artifacts.manifest import ArtifactManifest, RuntimeEnvironment
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel, TrainingRun
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories.tenancy import activate
from verifywise_mlflow.persistence.repositories.waivers import insert_waivers
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import registered_models
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, rule_yaml, write_policy
from verifywise_mlflow_tests.support.stored_states import day, write_record

FORMULA: Final = '=HYPERLINK("https://attacker.example", "Ada")'
"""An owner that a spreadsheet would evaluate."""
PURPOSE: Final = "[red]Finds customers who may leave.[/red]"
"""A purpose with the markup of a terminal library."""
LONG_NAME: Final = "probability-of-default-of-small-and-medium-enterprises-in-the-euro-area-quarterly"
"""The name of a model that is longer than a line of 80 columns."""

OWNED: Final = rule_yaml("owned", "owner == 'Risk Team'", title="The Risk Team owns it")
CODED: Final = rule_yaml("coded", "code_commit != ''", title="The commit is known").replace(
    "severity: high", "severity: critical"
)
PRIVATE: Final = (
    rule_yaml("private", "privacy_assessment_status == 'completed'", applies="'model_name == \"credit\"'")
    .replace("severity: high", "severity: low")
    .replace("framework: NIST AI RMF, clause: GOVERN 2.1", "framework: GDPR, clause: Art. 35")
)
"""A rule that applies only to credit."""


@dataclass(frozen=True, slots=True)
class GovernedTenants:
    """The tenants ``acme`` and ``globex`` in one store."""

    url: str
    store: Store


@contextmanager
def governed_tenants(postgres: EmbeddedPostgres) -> Iterator[GovernedTenants]:
    """The two tenants, for all tests of a module. No test may write."""
    with migrated_database(postgres) as url, Store(url) as store, TemporaryDirectory() as folder:
        _fill(store, Path(folder))
        yield GovernedTenants(url, store)


def _fill(store: Store, folder: Path) -> None:
    for tenant_id in ("acme", "globex"):
        with store.begin(tenant_id) as session:
            activate(session, f"https://mlflow.{tenant_id}.example", None, day(1))
    credit = {"owner": "Risk Team", "risk_category": "high", "ai_system": "Lending", "data_sensitivity": "personal"}
    _record(store, "credit", 1, day(1), stage="Archived", tags=credit)
    _record_in_use(store, day(1), credit)
    _record(store, "churn", 1, day(1), library="xgboost", tags={"business_purpose": PURPOSE})
    _record(store, LONG_NAME, 1, day(1), tags={"owner": FORMULA})
    _record(store, "gone", 1, day(1), tags={"owner": "Risk Team"})
    _record(store, "fraud", 7, day(1), tenant_id="globex", stage="Staging", tags={"owner": "Fraud Desk"})
    both = write_policy(folder / "policy.yaml", OWNED, PRIVATE)
    _evaluate(store, day(1), both)
    # Version 2 loses its owner on day 3 and gets another owner on day 5: the verdict changes, the gap stays open.
    unowned = {name: value for name, value in credit.items() if name != "owner"}
    _record_in_use(store, day(3), unowned)
    _evaluate(store, day(3), both)
    _record_in_use(store, day(5), {**unowned, "owner": "Ops Desk"})
    _record(store, "gone", 1, day(5), tags={"owner": "Risk Team"}, deleted_at=day(5))
    _evaluate(store, day(5), both)
    _evaluate(store, day(6), write_policy(folder / "policy.yaml", OWNED, PRIVATE, CODED, version=2))
    _record(store, "unjudged", 1, day(7))
    with store.begin("acme") as session:
        waiver = Waiver(
            rule="owned", model="churn", approver="Grace", reason="A new team takes over.", expires=date(2099, 12, 31)
        )
        insert_waivers(session, [waiver], "command", day(2), "")
        empty = {"tags": {}, "aliases": {}, "problems": [], "fingerprint": "f", "hidden_from_search": False}
        session.execute(
            insert(registered_models).values(tenant_id="acme", model_name="empty", changed_at=day(2), **empty)
        )


def _record_in_use(store: Store, now: datetime, tags: Mapping[str, str]) -> None:
    """Write the record of version 2 of credit."""
    aliases = ("champion", "eu")
    _record(store, "credit", 2, now, stage="Production", aliases=aliases, library="sklearn", tags=tags)


def _record(
    store: Store,
    model: str,
    number: int,
    now: datetime,
    *,
    tenant_id: str = "acme",
    stage: str | None = None,
    aliases: tuple[str, ...] = (),
    library: str | None = None,
    deleted_at: datetime | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    environment = RuntimeEnvironment("3.11", (), (), None, {library: "1.0"}, None, True, ()) if library else None
    manifest = ArtifactManifest("s3://bucket/files", "complete", None, (), environment, None) if library else None
    run = TrainingRun(f"{number:032x}", status="FINISHED", started_at=day(1), ended_at=day(1))
    inputs = RecordInputs(
        version=ModelVersion(model, number, created_at=day(1), stage=stage, run_id=run.run_id, tags=tags or {}),
        model=RegisteredModel(model, aliases=dict.fromkeys(aliases, number)),
        run=run,
        manifest=manifest,
    )
    write_record(store, inputs, now, tenant_id=tenant_id, deleted_at=deleted_at)


def _evaluate(store: Store, now: datetime, policy: Path) -> None:
    compliance = {"default_policy": False, "policies": [str(policy)]}
    for tenant_id in ("acme", "globex"):
        settings = {"tenant_id": tenant_id, "tracking_uri": f"https://mlflow.{tenant_id}.example"}
        evaluate(Tenant.model_validate({**settings, "compliance": compliance}), store, now)
