"""The evidence that is manipulated: a tenant that was synced three times, with its export, proof and checkpoints.

The owner, the champion and a file of ``credit`` changed. A waiver of ``fraud`` was granted and withdrawn, and another
waiver is in force. A threshold changed once, and one sync was killed. ``globex`` is another tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from mlflow import MlflowClient
from sqlalchemy.exc import IntegrityError

from verifywise_mlflow.audit.export import export_lines
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent
from verifywise_mlflow.persistence.repositories import audit_log, lifecycle_events
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.audit.manipulations.row_snapshot import RowSnapshot, disabled_triggers
from verifywise_mlflow_tests.support.forging import WITH_CELL
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry, create_workspace

KILLED_SYNC: Final = "killed-sync"
LAST_SYNC: Final = "sync-3"

_WAIVER: Final = (
    "  - {tenant: acme, rule: RULE, model: fraud, approver: Ada Lovelace, expires: DAY,"
    " reason: The team that takes the model over is being formed.}\n"
)
_LATER_SETTINGS: Final = "compliance: {thresholds: {most_production_versions: 2}}, "
"""Settings that make the third sync adopt another version of the policy."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A database with the evidence, and a folder with the files that an auditor was given."""

    database_url: str
    store: Store
    snapshot: RowSnapshot
    folder: Path

    def refusal(self, sql: str) -> str | None:
        """Run SQL as the schema's owner while all triggers are enabled; return why Postgres refuses it, or None."""
        with self.rolled_back() as session:
            try:
                run_as_owner(session, sql)
                run_as_owner(session, "SET CONSTRAINTS ALL IMMEDIATE")
            except IntegrityError as error:
                return str(error.orig)
        return None

    @contextmanager
    def rolled_back(self) -> Iterator[TenantSession]:
        """Yield a transaction that is rolled back."""
        with self.store.engine.connect() as connection:
            yield TenantSession(connection, "acme")

    @contextmanager
    def manipulated(self, change: Callable[[TenantSession], None], *, with_triggers: bool = False) -> Iterator[None]:
        """Change the database, by default with all triggers disabled, and undo all changes at the end."""
        with (
            self.store.begin("acme") as session,
            nullcontext() if with_triggers else disabled_triggers(session.connection),
        ):
            change(session)
        try:
            yield
        finally:
            with self.store.begin("acme") as session:
                self.snapshot.restore(session.connection)


def run_as_owner(session: TenantSession, sql: str) -> None:
    """Run statements; they name tables without the schema."""
    session.connection.exec_driver_sql(f"{WITH_CELL}; SET LOCAL search_path = verifywise_mlflow; {sql}")


@contextmanager
def prepared_evidence(database_url: str, mlflow_uri: str, artifacts: Path, folder: Path) -> Iterator[Evidence]:
    """Sync the tenants, and write what an auditor is given into a folder."""
    key = SigningKey.generate()
    (folder / "signing.pem").write_bytes(key.pem())
    (folder / "public.pem").write_text(key.public.pem())
    with Store(database_url) as store:
        with pytest.MonkeyPatch.context() as environment:  # it ends before tests of other files begin
            environment.setenv("VERIFYWISE_TENANTS", str(folder / "tenants.yaml"))
            environment.setenv(SIGNING_KEY_VARIABLE, f"file:{folder}/signing.pem")
            _sync_tenants(store, mlflow_uri, artifacts, folder, environment)
        for tenant_id in ("acme", "globex"):
            _export(store, tenant_id, folder)
        with store.begin("acme") as session:
            snapshot = RowSnapshot.take(session.connection)
        yield Evidence(database_url, store, snapshot, folder)


def _sync_tenants(
    store: Store, mlflow_uri: str, artifacts: Path, folder: Path, environment: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    registries, workspaces = {}, {}
    for tenant_id in ("globex", "acme"):  # MLflow's client keeps the last workspace, which is changed below
        workspaces[tenant_id] = create_workspace(mlflow_uri, environment)
        registries[tenant_id] = Registry(MlflowClient(mlflow_uri), folder, artifacts)
        registries[tenant_id].version("pricing", tags={"owner": "Sales"})
        if tenant_id == "acme":
            run_id = _register(registries[tenant_id], now - timedelta(days=40))
            agent_id = _log_agent(registries[tenant_id], run_id)
    day = (now + timedelta(days=60)).date().isoformat()

    def write_settings(waived_rules: Sequence[str], settings: str = "") -> None:
        waivers = "".join(_WAIVER.replace("RULE", rule).replace("DAY", day) for rule in waived_rules)
        (folder / "waivers.yaml").write_text(f"waivers:\n{waivers}")
        common = f"{settings}allow_private_network: true, artifacts: {{sandbox: best_effort}}"
        lines = [
            f"  {tenant_id}: {{tracking_uri: '{mlflow_uri}', workspace: {workspace}, {common}}}\n"
            for tenant_id, workspace in workspaces.items()
        ]
        (folder / "tenants.yaml").write_text(f"tenants:\n{''.join(lines)}")

    write_settings(["owner", "description"])
    # Only after the versions were registered: files may change until then.
    _sync(folder, store, "acme", "sync-1", datetime.now(UTC))
    _sync(folder, store, "globex", "sync-of-globex", datetime.now(UTC))
    client = registries["acme"].client
    client.set_model_version_tag("credit", "1", "owner", "Risk Office")
    client.set_registered_model_alias("credit", "champion", "2")
    client.set_logged_model_tags(agent_id, {"owner": "Service Desk"})
    registries["acme"].write(client.get_run(run_id).info.artifact_uri, {"model/model.pkl": b"\x80\x05 other bytes"})
    _sync(folder, store, "acme", "sync-2", now + timedelta(days=1), SyncOptions(rehash=True))
    _kill_sync(folder, store, now + timedelta(days=2))
    write_settings(["description"], _LATER_SETTINGS)
    client.set_model_version_tag("fraud", "1", "owner", "Payments")
    _sync(folder, store, "acme", LAST_SYNC, now + timedelta(days=3))


def _register(registry: Registry, trained_at: datetime) -> str:
    """Register two versions of ``credit`` and one of ``fraud``; return the run of the first."""
    files = {f"model/{name}": content for name, content in MODEL_FILES.items()}
    tags = {"owner": "Credit Risk", "risk_category": "high", "data_sensitivity": "personal"}
    runs = [registry.run(experiment="credit", metrics={"auc": auc}, files=files, end=False) for auc in (0.81, 0.84)]
    for run_id in runs:
        # Before the first sync: a run that has not ended may rewrite its files.
        registry.client.set_terminated(run_id, end_time=int(trained_at.timestamp() * 1_000))
        registry.version("credit", run_id=run_id, source=f"runs:/{run_id}/model", tags=tags)
    registry.version("fraud", tags={"risk_category": "high"})
    registry.client.transition_model_version_stage("credit", "1", "Production")
    registry.client.set_registered_model_alias("credit", "champion", "1")
    return runs[0]


def _log_agent(registry: Registry, run_id: str) -> str:
    """Register a prompt, and log an agent that uses it; return the agent's ID."""
    registry.client.register_prompt("letter", "Write to {{customer}}.")
    linked = '[{"name": "letter", "version": "1"}]'
    agent = registry.client.create_logged_model(
        registry.client.get_run(run_id).info.experiment_id,
        name="support-bot",
        model_type="agent",
        tags={"owner": "Care", "mlflow.linkedPrompts": linked},
    )
    return str(agent.model_id)


def _sync(
    folder: Path,
    store: Store,
    tenant_id: str,
    sync_id: str,
    at: datetime,
    options: SyncOptions | None = None,
) -> None:
    tenant = load_tenants(folder / "tenants.yaml")[tenant_id]
    with Sync(tenant, store, options or SyncOptions(), now=lambda: at, sync_id=sync_id) as run:
        run.run_all()


def _kill_sync(folder: Path, store: Store, at: datetime) -> None:
    """Write the rows that a sync leaves if it is killed after it has stored one event."""
    killed = Sync(load_tenants(folder / "tenants.yaml")["acme"], store, now=lambda: at, sync_id=KILLED_SYNC)
    killed.__enter__()
    with store.begin("acme") as session:
        event = LifecycleEvent(EventKind.ALIAS, "credit", 2, 1, alias="challenger", value="2")
        lifecycle_events.append(session, KILLED_SYNC, [event], at)


def _export(store: Store, tenant_id: str, folder: Path) -> None:
    with store.begin(tenant_id) as session:
        stored = [*audit_log.checkpoints(session)]
        lines = [*export_lines(audit_log.links(session), stored)]
    (folder / f"{tenant_id}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    for name, anchored in (("first", stored[0]), ("witness", stored[-1])):
        (folder / f"{name}-{tenant_id}.jsonl").write_text(anchored.checkpoint.to_json_line() + "\n")
