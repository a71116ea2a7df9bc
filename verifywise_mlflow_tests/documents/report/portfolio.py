"""A bank's portfolio over nine months, synced on several days from a reader that needs no server.

Its names and texts include some that would act as markup, scripts, paths or links if a page did not escape them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.connector.mlflow_reader import MlflowReader, ServerInfo
from verifywise_mlflow.connector.models import (
    DatasetInput,
    Experiment,
    LoggedModel,
    ModelVersion,
    Prompt,
    PromptVersion,
    RegisteredModel,
    TrainingRun,
)
from verifywise_mlflow.connector.pagination import Listed, Listing, ListingPages
from verifywise_mlflow.connector.registry_search import version_key
from verifywise_mlflow.http.client import Traffic
from verifywise_mlflow.persistence.repositories.waivers import insert_waivers
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

HOSTILE: Final = (
    """<img src=x onerror="alert(1)"> '"><script>alert(2)</script> \u202e ../../x javascript:alert(3) {{7*7}}"""
)
"""The name of a model, and part of an owner, a tag, an alias and a description."""
FIRST_DAY: Final = datetime(2026, 3, 2, 6, tzinfo=UTC)
REPORT_TIME: Final = datetime(2026, 11, 29, 14, tzinfo=UTC)
SYNC_DAYS: Final = (0, 30, 62, 95, 131, 170, 205, 240, 271)
SYSTEMS: Final = """ai_systems:
- name: Consumer lending
  models: [credit-*]
  purpose: First assessment of consumer loans up to EUR 50,000. A clerk decides.
  risk: {category: high, basis: Annex III point 5(b), decided_by: Risk committee, decided_on: 2026-02-11}
  roles: [provider, deployer]
  owner: Head of consumer lending
  last_review: 2026-02-11
  next_review: 2026-08-31
  documents:
  - {title: Risk management file, location: GRC-2211}
  declared_by: Grace Okafor
  declared_on: 2026-02-12
"""


@dataclass(frozen=True, slots=True)
class VersionPlan:
    """What happens to a version."""

    since: int
    """The day on which it is registered."""
    stages: Mapping[int, str] = field(default_factory=dict)
    """Stage by the day from which it holds."""
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What happens to a model."""

    name: str
    description: str
    versions: Sequence[VersionPlan]
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Alias to version number by the day from which it holds."""


_CREDIT = {"owner": "credit-risk@acme.example", "risk_category": "high", "data_sensitivity": "PII"}
_ASSESSED = {
    "business_purpose": "First assessment of consumer loans",
    "regulatory_scope": "EU AI Act Annex III, GDPR",
    "privacy_assessment": "DPIA completed 2026-05-20",
    "human_oversight": "completed 2026-05-20",
    "approver": "m.okafor (model risk), 2026-06-01",
    "validator": "v.osei (model validation), 2026-05-28",
    "security_assessment": "SEC-2026-014, 2026-05-27",
    "monitoring_evidence": "drift report 2026-06-30",
    "deployment_status": "deployed",
}
_PAYMENTS = {"owner": "payments-ml", "risk_category": "limited", "data_sensitivity": "PII", "use_case": "Payments"}

PLANS: Final = (
    ModelPlan(
        "credit-scoring",
        "Probability that a consumer loan is not paid back",
        (
            VersionPlan(0, {0: "Production", 95: "Archived"}, _CREDIT, {"auc": 0.741, "brier": 0.182}, {"C": "0.1"}),
            VersionPlan(
                62,
                {62: "Staging", 95: "Production"},
                {**_CREDIT, **_ASSESSED},
                {"auc": 0.783, "brier": 0.164, "accuracy": 0.842},
                {"C": "1.0"},
            ),
            VersionPlan(205, {205: "Staging"}, _CREDIT, {"auc": 0.791, "brier": 0.171}, {"C": "1.0", "penalty": "l1"}),
        ),
        aliases={"champion": {0: 1, 95: 2}, "challenger": {205: 3}},
    ),
    ModelPlan(
        "credit-limit",
        "Limits of overdrafts",
        (VersionPlan(30, {30: "Production"}, {**_CREDIT, "business_purpose": "Limits of overdrafts"}, {"mae": 412.0}),),
    ),
    ModelPlan(
        "fraud-detection",
        "Card payments to hold back",
        (
            VersionPlan(0, {0: "Production"}, _PAYMENTS, {"recall": 0.61, "precision": 0.88}),
            VersionPlan(131, {131: "Staging"}, _PAYMENTS, {"recall": 0.66, "precision": 0.85}),
        ),
        aliases={"champion": {0: 1}},
    ),
    ModelPlan(
        "loan-loss-forecast",
        "Expected losses of the next quarter",
        (
            VersionPlan(30, {30: "Production"}, {"owner": "treasury-analytics", "risk_category": "minimal"}),
            VersionPlan(170, {}, {"owner": "treasury-analytics", "risk_category": "minimal"}, {"mape": 0.082}),
        ),
    ),
    ModelPlan("collections-uplift", "", (VersionPlan(95),)),
    ModelPlan(
        "churn",
        "Customers who may leave",
        tuple(
            VersionPlan(day, {day: "Archived" if day < 200 else "Staging"}, {"owner": "crm-analytics"}, {"auc": auc})
            for day, auc in ((30, 0.68), (95, 0.69), (170, 0.71), (240, 0.70))
        ),
    ),
    ModelPlan(
        HOSTILE,
        f"A description with {HOSTILE}",
        (
            VersionPlan(131, {131: "Production"}, {"owner": HOSTILE, "business_purpose": HOSTILE, HOSTILE: HOSTILE}),
            VersionPlan(170, {}, {"owner": HOSTILE, "use_case": "<b>Markup</b>"}, {HOSTILE: 0.5}, {HOSTILE: HOSTILE}),
        ),
        aliases={HOSTILE: {131: 1, 205: 2}},
    ),
)


class PortfolioReader(MlflowReader):
    """Reads what a server would return on a day."""

    def __init__(self, day: int) -> None:
        """Store the number of days since the first day."""
        self.day = day

    @property
    def server(self) -> ServerInfo:
        return ServerInfo("3.17.0", "SqlStore", workspaces=False, logged_models=True)

    @property
    def traffic(self) -> Traffic:
        return Traffic()

    def close(self) -> None:
        pass

    def registered_models(self) -> ListingPages[RegisteredModel, str]:
        models = [
            RegisteredModel(
                plan.name,
                plan.description or None,
                dict(plan.tags),
                {alias: number for alias, held in plan.aliases.items() if (number := _latest(held, self.day))},
                _time(plan.versions[0].since),
                _time(plan.versions[0].since),
            )
            for plan in PLANS
            if plan.versions[0].since <= self.day
        ]
        return _pages(models, lambda model: model.name)

    def model_versions(self) -> ListingPages[ModelVersion, tuple[str, int]]:
        versions = [
            ModelVersion(
                plan.name,
                number,
                _time(version.since),
                _time(version.since),
                stage=_latest(version.stages, self.day),
                run_id=_run_id(plan, number) if plan.name != "collections-uplift" else None,
                source=f"mlflow-artifacts:/1/{_run_id(plan, number)}/artifacts/model",
                status="READY",
                tags=dict(version.tags),
            )
            for plan in PLANS
            for number, version in enumerate(plan.versions, start=1)
            if version.since <= self.day
        ]
        return _pages(versions, version_key)

    def model_version(self, name: str, number: int) -> ModelVersion:
        return next(row for row in self.model_versions().read().rows if version_key(row) == (name, number))

    def prompts(self) -> Listing[Prompt]:
        return Listing(())

    def prompt_versions(self) -> Listing[PromptVersion]:
        return Listing(())

    def agents(self, experiment_ids: Sequence[str]) -> Listing[LoggedModel]:  # noqa: ARG002
        return Listing(())

    def experiments(self) -> Listing[Experiment]:
        return Listing((Experiment("1", "retail"),))

    def runs(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[TrainingRun]:  # noqa: ARG002
        runs = {
            _run_id(plan, number): TrainingRun(
                _run_id(plan, number),
                "1",
                f"{plan.name[:20]}-{number}",
                "a.lindqvist",
                "FINISHED",
                "active",
                _time(version.since),
                _time(version.since) + timedelta(minutes=42),
                metrics=dict(version.metrics),
                params=dict(version.params),
                tags={"mlflow.source.name": "train.py", "mlflow.source.git.commit": "4f1c" * 10},
                datasets=(DatasetInput("loans-2025", "9b1c2d", "local", "s3://lake/loans/2025", "training"),),
            )
            for plan in PLANS
            for number, version in enumerate(plan.versions, start=1)
        }
        return Listing(tuple(runs[run_id] for run_id in run_ids))

    def logged_models(self, model_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[LoggedModel]:  # noqa: ARG002
        return Listing(())


def seed_portfolio(store: Store, folder: Path, tenant_id: str = "acme") -> Tenant:
    """Sync the portfolio on each day, and grant a waiver; return the tenant."""
    declared = folder / f"{tenant_id}-systems.yaml"
    declared.write_text(SYSTEMS)
    tenant = Tenant.model_validate(
        {
            "tenant_id": tenant_id,
            "tracking_uri": f"https://mlflow.{tenant_id}.example",
            "artifacts": {"manifests": False},
            "compliance": {"ai_systems": str(declared)},
        }
    )
    for day in SYNC_DAYS:
        now = partial(_time, day)
        with Sync(tenant, store, now=now, sync_id=f"sync-{day}", _reader=PortfolioReader(day)) as sync:
            sync.run_all()
    waiver = Waiver(
        rule="dataset-reference",
        model="collections-*",
        approver="Grace Okafor",
        reason="The data set is on paper until the archive has been scanned.",
        expires=date(2026, 12, 31),
    )
    with store.begin(tenant_id) as session:
        insert_waivers(session, [waiver], "command", _time(SYNC_DAYS[-1]), "")
    return tenant


def _time(day: int) -> datetime:
    return FIRST_DAY + timedelta(days=day)


def _latest(held: Mapping[int, T], day: int) -> T | None:
    days = [since for since in held if since <= day]
    return held[max(days)] if days else None


def _run_id(plan: ModelPlan, number: int) -> str:
    return f"{1_000 * PLANS.index(plan) + number:032x}"


def _pages(rows: Sequence[T], identify: Callable[[T], K]) -> ListingPages[T, K]:
    def read_pages(listed: Listed[K]) -> Iterator[Sequence[T]]:
        listed.keys.update((identify(row), None) for row in rows)
        yield rows

    return ListingPages(read_pages, identify)
