"""Two versions as a customer may have them, for the tests of evidence packs, and functions that read a pack.

``fraud`` version 3 is complete and full of hostile texts; ``churn`` version 1 lacks a run and some hashes. Both are
recorded on day 1, evaluated on day 2, and changed and evaluated again on day 5.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from verifywise_mlflow.artifacts.integrity import ByteChange
from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    FileKind,
    ReadOutcome,
    Requirement,
    RuntimeEnvironment,
)
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.connector.models import DatasetInput, ModelVersion, RegisteredModel, TrainingRun
from verifywise_mlflow.documents.pack.archive import build_pack
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import integrity, lifecycle_events, waivers
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.persistence.repositories.state_commitments import append_with_states
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.evidence_pack import PackContents, pack_contents
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, tenant_with_policies
from verifywise_mlflow_tests.support.stored_states import day, write_record

FRAUD: Final[Key] = ("fraud", 3)
CHURN: Final[Key] = ("churn", 1)
HOSTILE: Final = "\"><script>document.title='owned'</script><img src=x onerror=alert(1)> ${1} #strong[x] \u202egnp.exe"
"""HTML, a template, Typst's markup, and a mark that reverses what follows."""
WAIVED_RULE: Final = "human-oversight"


@dataclass(frozen=True, slots=True)
class PackedTenant:
    """The store, the URL of its database, and the key that verifies its checkpoints."""

    store: Store
    url: str
    public_key: str


@contextmanager
def signing(folder: Path) -> Iterator[str]:
    """Sign the checkpoints that the block writes; yield the public key."""
    key = SigningKey.generate()
    path = folder / "signing.pem"
    path.write_bytes(key.pem())
    path.chmod(0o600)
    os.environ["VERIFYWISE_AUDIT_SIGNING_KEY"] = f"file:{path}"
    try:
        yield key.public.pem()
    finally:
        del os.environ["VERIFYWISE_AUDIT_SIGNING_KEY"]


def seed(store: Store) -> None:
    """Write both versions, their verdicts on two days, a waiver, and the versions' events."""
    tenant = tenant_with_policies()
    _write_fraud(store, "Team Risk", day(1))
    _write_churn(store)
    _end_sync(store, 1, day(1) + timedelta(hours=1))
    evaluate(tenant, store, day(2))
    with store.begin("acme") as session:
        moved = LifecycleEvent(EventKind.STAGE, *FRAUD, 1, None, "Staging", "Production", day(2))
        named = LifecycleEvent(EventKind.ALIAS, *FRAUD, 1, "champion", "2", "3")
        lifecycle_events.append(session, "sync of day 3", [moved, named], day(3))
        change = ByteChange("changed", "model", "model.pkl", "aa" * 32, "0f" * 32, 10, 9)
        integrity.append(session, "sync of day 3", [IntegrityEvent(FRAUD, 1, "s3://b", change, day(2))], day(3))
        waiver = Waiver(
            rule=WAIVED_RULE,
            model=FRAUD[0],
            version=FRAUD[1],
            approver="Grace Hopper",
            reason=f"It is designed on paper. {HOSTILE}",
            expires=date(2026, 12, 31),
        )
        commit(session, "sync ended", "sync of day 3", day(3))
        waivers.insert_waivers(session, [waiver], "command", day(3), "")
        commit(session, "waiver granted", "", day(3))
    _write_fraud(store, "Team Fraud", day(5))
    _end_sync(store, 5, day(5))
    evaluate(tenant, store, day(5))


def commit(session: TenantSession, kind: EntryKind, sync_id: str, now: datetime) -> None:
    """Commit what was just written, as the end of a sync and a command do."""
    append_with_states(
        session, AuditEntry(session.tenant_id, now, kind, sync_id, "https://mlflow.acme.example", "complete", "0.1.0")
    )


def _end_sync(store: Store, number: int, now: datetime) -> None:
    with store.begin("acme") as session:
        commit(session, "sync ended", f"sync of day {number}", now)


def contents_of(store: Store, key: Key, day_number: int | None = None) -> PackContents:
    """Return the content of a pack, as of noon on a day in March or as of the last entry of the trail."""
    with store.begin("acme") as session:
        contents = pack_contents(session, key, day(day_number) if day_number else None)
    assert contents is not None
    return contents


def files_of(archive: bytes) -> Mapping[str, bytes]:
    """Return the files of a pack."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def packed(store: Store, key: Key, day_number: int | None = None) -> Mapping[str, bytes]:
    """Return the files of a version's pack."""
    return files_of(build_pack(contents_of(store, key, day_number)))


def json_of(files: Mapping[str, bytes], name: str) -> Any:
    """Return a JSON file of a pack."""
    return json.loads(files[name])


def _write_fraud(store: Store, owner: str, now: datetime) -> None:
    files = (
        ArtifactFile("model", "model.pkl", 9, "0f" * 32, FileKind.MODEL),
        ArtifactFile("model", f"notes {HOSTILE}.txt".replace("/", "-"), 5, "1f" * 32, FileKind.OTHER),
        ArtifactFile("run", "eval/report.html", 1_234, "5e" * 32, FileKind.EVALUATION),
    )
    environment = RuntimeEnvironment(
        python_version="3.11.7",
        packages=(
            Requirement("scikit-learn", "==1.9.1", "requirements.txt", pinned=True),
            Requirement("numpy", ">=2,<3", "requirements.txt", pinned=False),
        ),
        sources=("requirements.txt",),
        mlflow_version="3.17.0",
        flavors={"python_function": None, "sklearn": "1.9.1"},
        serialization_format="cloudpickle",
        reproducible=False,
        missing_pins=("numpy",),
        signature=("inputs", "outputs"),
    )
    run = TrainingRun(
        "a" * 32,
        user_id="grace",
        status="FINISHED",
        started_at=day(1),
        ended_at=day(1),
        metrics={"auc": 0.91, "loss": float("nan"), f"m {HOSTILE}": 1.5},
        params={"depth": "6", f"p {HOSTILE}": HOSTILE},
        datasets=(
            DatasetInput("payments-2025", "a1b2c3", "s3", "s3://bank/payments", "training"),
            DatasetInput(f"holdout {HOSTILE}", "ffee", "s3", "s3://bank/holdout", "evaluation"),
        ),
    )
    version = ModelVersion(
        *FRAUD,
        stage="Production",
        description=f"Scores card payments.\n{HOSTILE}",
        run_id=run.run_id,
        created_at=day(1),
        tags={
            "owner": owner,
            "business_purpose": f"Decides which payments a person reviews. {HOSTILE}",
            "risk_category": "high",
            "data_sensitivity": "personal",
            "privacy_assessment_status": "TBD",
            "compliance_approver": "Ada Lovelace 2026-02-20",
        },
    )
    manifest = ArtifactManifest("s3://bank/fraud/3", "complete", None, files, environment, "d" * 64)
    inputs = RecordInputs(
        version=version, model=RegisteredModel("fraud", aliases={"champion": 3}), run=run, manifest=manifest
    )
    write_record(store, inputs, now)


def _write_churn(store: Store) -> None:
    files = (
        ArtifactFile("model", "model.pkl", 9, "0f" * 32, FileKind.MODEL),
        ArtifactFile(
            "run", "eval/bias.json", 10**9, None, FileKind.BIAS_REPORT, "it is too large", ReadOutcome.OVER_LIMIT
        ),
    )
    manifest = ArtifactManifest("s3://bank/churn/1", "partial", "1 file is too large", files, None, None)
    inputs = RecordInputs(
        version=ModelVersion(*CHURN, run_id="b" * 32),
        model=RegisteredModel("churn"),
        run_read_error="the server returned 403",
        manifest=manifest,
    )
    write_record(store, inputs, day(1))
