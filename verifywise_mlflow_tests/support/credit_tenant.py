"""A bank's tenant: a model with a champion, a challenger and an archived version, under the default policy.

The tenant is written into the store directly, in a second, and evaluated as a sync evaluates it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import insert

from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    FileKind,
    Requirement,
    RuntimeEnvironment,
)
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.connector.models import DatasetInput, ModelVersion, RegisteredModel, TrainingRun
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import lifecycle_events, tenancy, waivers
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import model_versions, training_runs
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, tenant_with_policies
from verifywise_mlflow_tests.support.stored_states import day, write_record

MODEL: Final = "credit default risk"
"""With spaces, as customers write them."""
CHAMPION, CHALLENGER, ARCHIVED = 3, 4, 1
WAIVED_RULE: Final = "reproducible-environment"

_TAGS: Final[Mapping[int, Mapping[str, str]]] = {
    ARCHIVED: {"owner": "Ada Lovelace"},
    CHAMPION: {
        "owner": "Ada Lovelace",
        "business_purpose": "Estimates the probability that a loan is not paid back.",
        "risk_category": "high",
        "data_sensitivity": "personal",
        "approved_by": "Grace Hopper",
        "approval_date": "2026-02-01",
    },
    CHALLENGER: {"owner": "Alan Turing", "risk_category": "high", "approved_by": "Grace Hopper"},
}
_STAGES: Final = {ARCHIVED: "Archived", CHAMPION: "Production", CHALLENGER: "Staging"}
_ALIASES: Final = {"champion": CHAMPION, "eu": CHAMPION, "challenger": CHALLENGER}
_METRICS: Final[Mapping[int, Mapping[str, float]]] = {
    ARCHIVED: {"auc": 0.7},
    CHAMPION: {"auc": 0.8, "log_loss": 0.5, "same": 1.0},
    CHALLENGER: {"auc": 0.9, "log_loss": float("nan"), "same": 1.0},
}


@dataclass(frozen=True, slots=True)
class CreditTenant:
    """The store, and the URL of its database."""

    store: Store
    url: str


@contextmanager
def credit_tenant(postgres: EmbeddedPostgres) -> Iterator[CreditTenant]:
    """The tenant ``acme`` in a database of its own, for all tests of a module: none of them may write."""
    with migrated_database(postgres) as url, Store(url) as store:
        fill(store)
        yield CreditTenant(store, url)


def fill(store: Store) -> None:
    """Write the tenant: its records are stored on 1 March, evaluated on 2 March, and changed on 5 March."""
    with store.begin("acme") as session:
        tenancy.activate(session, "https://mlflow.acme.example", None, day(1))
    for number in _TAGS:
        _write_version(store, number, _TAGS[number], day(1))
    write_record(store, RecordInputs(version=ModelVersion("churn", 1), model=RegisteredModel("churn")), day(1))
    tenant = tenant_with_policies()
    evaluate(tenant, store, day(2))
    with store.begin("acme") as session:
        moved = LifecycleEvent(EventKind.STAGE, MODEL, CHAMPION, 1, None, "Staging", "Production", day(2))
        renamed = LifecycleEvent(EventKind.ALIAS, MODEL, CHAMPION, 1, "champion", str(ARCHIVED), str(CHAMPION))
        lifecycle_events.append(session, "sync of day 3", [moved, renamed], day(3))
    _write_version(store, CHALLENGER, {**_TAGS[CHALLENGER], "business_purpose": "A challenger."}, day(5))
    evaluate(tenant, store, day(5))
    with store.begin("acme") as session:
        waiver = Waiver(
            rule=WAIVED_RULE,
            model=MODEL,
            version=CHAMPION,
            approver="Grace Hopper",
            reason="The image pins the package.",
            expires=date(2099, 12, 31),
        )
        waivers.insert_waivers(session, [waiver], "command", day(6), "")


def write_tenants_file(folder: Path) -> Path:
    """Write a tenants.yaml with the tenant, whose server is never contacted."""
    path = folder / "tenants.yaml"
    path.write_text("tenants:\n  acme:\n    tracking_uri: https://mlflow.acme.example\n")
    return path


def _write_version(store: Store, number: int, tags: Mapping[str, str], now: datetime) -> None:
    run = TrainingRun(
        f"{number:x}" * 32,
        user_id="trainer",
        status="FINISHED",
        started_at=day(1),
        ended_at=day(1),
        metrics=_METRICS[number],
        params={"depth": str(number), "seed": "7", "solver": "lbfgs"},
        tags={"team": f"team {number}", "mlflow.user": "trainer"},
        datasets=(DatasetInput("loans", f"digest-{number}", "s3", "s3://bucket/loans.parquet", "training"),),
    )
    version = ModelVersion(MODEL, number, stage=_STAGES[number], run_id=run.run_id, tags=tags)
    model = RegisteredModel(MODEL, aliases=_ALIASES)
    write_record(store, RecordInputs(version=version, model=model, run=run, manifest=_manifest(number)), now)
    written = {"tenant_id": "acme", "problems": [], "fingerprint": "f", "changed_at": now}
    if now != day(1):  # these are the rows of the first sync
        return
    with store.begin("acme") as session:
        session.execute(
            insert(model_versions).values(
                model_name=MODEL, version_number=number, tags=tags, aliases=[], hidden_from_search=False, **written
            )
        )
        session.execute(
            insert(training_runs).values(
                run_id=run.run_id,
                tags=run.tags,
                datasets=[],
                logged_model_ids=[],
                metrics={},
                params={},
                retry=False,
                read_for_revision=1,
                **written,
            )
        )


def _manifest(number: int) -> ArtifactManifest:
    digest = f"{number:02x}" * 32
    files = (
        ArtifactFile("model", "MLmodel", 900, "aa" * 32, FileKind.OTHER),
        ArtifactFile("model", "model.pkl", 1_000 + number, digest, FileKind.OTHER),
        ArtifactFile("model", "weights.bin", 10**9, None, FileKind.OTHER, "too large to be hashed"),
    )
    packages = (
        Requirement("numpy", "==2.1.0", "requirements.txt", True),
        Requirement("scikit-learn", f"==1.{number}.0", "requirements.txt", True),
        Requirement("lightgbm", "", "requirements.txt", False),
    )
    environment = RuntimeEnvironment(
        "3.11.7", packages, ("requirements.txt",), "3.17.2", {"sklearn": "1.9.1"}, "cloudpickle", False, ("lightgbm",)
    )
    return ArtifactManifest("s3://bucket/credit", "partial", "one file is too large", files, environment, None)
