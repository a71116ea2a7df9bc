"""Every entry about an action that a person starts names the account, the database role and the user of Dagster."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from verifywise_mlflow.audit.entry import KINDS_WITH_ACTOR
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.state_leaf import State
from verifywise_mlflow.common.os_user import operating_system_user
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.delivery.configured_targets import configured_targets
from verifywise_mlflow.delivery.drain import Drain
from verifywise_mlflow.persistence import erasure, role_grants
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.tenant_activation import reconcile_tenants
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver, withdraw_waiver
from verifywise_mlflow.services.audit_signing import change_key, sign_chain_head
from verifywise_mlflow.services.states_acceptance import accept_states
from verifywise_mlflow.tenants.delivery.settings import Delivery
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.support.audit_chains import KEY
from verifywise_mlflow_tests.support.declared_systems import LENDING, write_ai_systems
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows, sync

BY_OWNER = {"access granted", "access revoked", "tenant erased"}
WAIVER = Waiver(
    rule="owner", model="churn", approver="Grace", reason="A pilot until spring.", expires=date.today() + timedelta(30)
)


def test_everything_that_a_person_starts_names_them(
    registry: Registry, tenant: Tenant, store: Store, database_url: str, tmp_path: Path
) -> None:
    lineage = {"openlineage": {"transport": {"kind": "file", "path": str(tmp_path / "lineage.jsonl")}}}
    systems = write_ai_systems(tmp_path / "ai_systems.yaml", LENDING)
    tenant = tenant.model_copy(
        update={
            "artifacts": Artifacts(manifests=False),
            "compliance": tenant.compliance.model_copy(update={"ai_systems": systems}),
            "delivery": Delivery.model_validate(lineage),
        }
    )
    for _ in range(21):
        registry.version("churn")
    now = datetime.now(UTC)
    with login_role(database_url, new_name("pipeline")) as role, login_role(database_url, new_name("reader")) as reader:
        with store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "pipeline", None, now)
        with Store(role.url, dagster_user="ada") as requested_by_ada:
            sync(tenant, requested_by_ada)
            registry.client.delete_registered_model("churn")
            sync(tenant, requested_by_ada, SyncOptions(accept_removals="churn was retired"))
            expiry = (now + timedelta(days=30)).date()
            waiver = Waiver(
                rule="owner", model="churn", approver="Grace", reason="A pilot until spring.", expires=expiry
            )
            grant_waiver(requested_by_ada, tenant, waiver, datetime.now(UTC))
            withdraw_waiver(requested_by_ada, tenant, 1, datetime.now(UTC))
            for target in configured_targets(tenant, requested_by_ada):
                assert Drain(requested_by_ada, "acme", target).run().outcome == "delivered"
            reconcile_tenants(requested_by_ada, {}, datetime.now(UTC))
            with requested_by_ada.begin("acme") as session:
                sign_chain_head(session, KEY, datetime.now(UTC))
                change_key(session, SigningKey.generate(), datetime.now(UTC), "the machine with the key burned down")
                state_log.append(session, [State("record", "churn", 1, "", now, "forged", "")])
            accept_states(requested_by_ada, "acme", "A test of an administrator.", datetime.now(UTC))
        with store.begin_shared() as connection:
            role_grants.grant(connection, reader.name, "reader", "acme", now)
            role_grants.revoke(connection, role.name, now)
        erasure.erase(store, "acme", datetime.now(UTC))

        entries = rows(store, "audit_entries", "sequence")

    account = operating_system_user()
    owner, ada, nobody = (account, store.engine.url.username, None), (account, role.name, "ada"), (None, None, None)
    assert {row["kind"] for row in entries if row["os_user"]} == KINDS_WITH_ACTOR
    for row in entries:
        actor = owner if row["kind"] in BY_OWNER else ada if row["kind"] in KINDS_WITH_ACTOR else nobody
        assert (row["os_user"], row["database_role"], row["dagster_user"]) == actor, row["kind"]
    assert [(row["kind"], row["object_name"]) for row in entries if row["object_kind"] == "database role"] == [
        ("access granted", role.name),  # by the first sync, with the actor who granted the access before it
        ("access granted", reader.name),
        ("access revoked", role.name),
        ("access revoked", reader.name),  # by the erasure
    ]
