"""A sync records its start and its end. With a signing key, it signs the audit trail up to the entry of its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.trail_report import TrailReport
from verifywise_mlflow.audit.verification import verify_chain
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.services.audit_signing import PREVIOUS_KEY_VARIABLE, SIGNING_KEY_VARIABLE, sign_chain_head
from verifywise_mlflow.services.audit_verification import problem, verify_audit_trails
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.audit_chains import KEY
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows, sync
from verifywise_mlflow_tests.support.trail_entries import NOW, append, entry

UNREACHABLE_TENANT = Tenant(tenant_id="acme", tracking_uri="http://127.0.0.1:9", allow_private_network=True)
"""A tenant whose server does not exist."""


def verified(store: Store) -> TrailReport:
    with store.begin("acme") as session:
        stored = audit_log.checkpoints(session)
        return verify_chain("acme", audit_log.links(session), stored, keys=[KEY.public], is_expected=True)


def kinds(store: Store) -> Sequence[object]:
    return [row["kind"] for row in rows(store, "audit_entries", "sequence")]


def test_each_sync_ends_with_a_checkpoint_on_its_last_entry_even_one_that_fails(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "signing.pem").write_bytes(KEY.pem())
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, f"file:{tmp_path}/signing.pem")

    for _ in range(2):
        with pytest.raises(HttpError):
            sync(UNREACHABLE_TENANT, store)

    report = verified(store)
    assert kinds(store)[-4:] == ["sync started", "sync ended", "sync started", "sync ended"]
    assert (report.damage, report.checkpoints, report.vouched) == (None, 2, report.entries)


def test_the_next_sync_records_a_new_key_and_one_with_the_old_key_reads_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = f"file:{tmp_path}/old.pem", f"file:{tmp_path}/new.pem"
    (tmp_path / "old.pem").write_bytes(KEY.pem())
    (tmp_path / "new.pem").write_bytes(SigningKey.generate().pem())

    def sync_with(key: str, previous: str, error: type[Exception]) -> None:
        monkeypatch.setenv(SIGNING_KEY_VARIABLE, key)
        monkeypatch.setenv(PREVIOUS_KEY_VARIABLE, previous)
        with pytest.raises(error):
            sync(UNREACHABLE_TENANT, store)

    sync_with(old, "", HttpError)
    sync_with(new, "", SecretUnavailableError)
    sync_with(new, old, HttpError)
    sync_with(new, "", HttpError)

    report = verified(store)
    assert (report.damage, report.vouched, len(report.key_changes)) == (None, report.entries, 1)
    assert kinds(store)[-5:] == ["sync started", "signing key changed", "sync ended", "sync started", "sync ended"]

    sync_with(old, "", SecretUnavailableError)
    assert "is signed with the key" in str(rows(store, "audit_entries", "sequence")[-1]["reason"])
    assert verified(store).vouched == report.entries


def test_without_a_key_a_sync_signs_nothing_which_the_daily_verification_reports(store: Store) -> None:
    def daily_problem() -> str | None:
        (report,) = verify_audit_trails(store, ["acme"], [KEY.public])
        return problem(store, report)

    append(store, entry(1))
    assert daily_problem() is None, "the first sync may still be under way"

    with pytest.raises(HttpError):
        sync(UNREACHABLE_TENANT, store)

    assert (verified(store).damage, verified(store).checkpoints) == (None, 0)
    assert str(daily_problem()).startswith("unsigned: no signature vouches for this trail")

    with store.begin("acme") as session:
        sign_chain_head(session, KEY, NOW)
    assert daily_problem() is None


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("env:ABSENT_KEY", "ABSENT_KEY"),
        ("file:/nowhere/signing.pem", "/nowhere/signing.pem cannot be read"),
        ("env:NO_KEY", "env:NO_KEY is not a signing key: it is not a private key in PEM"),
        ("-----BEGIN PRIVATE KEY-----hunter2", "not the key"),
    ],
)
def test_an_unusable_key_stops_a_sync_before_it_reads_and_is_recorded(
    store: Store, monkeypatch: pytest.MonkeyPatch, reference: str, reason: str
) -> None:
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, reference)
    monkeypatch.setenv("NO_KEY", "hunter2")

    with pytest.raises(SecretUnavailableError, match=SIGNING_KEY_VARIABLE):
        sync(UNREACHABLE_TENANT, store)

    last = rows(store, "audit_entries", "sequence")[-1]
    assert (last["kind"], last["outcome"]) == ("sync ended", "failed")
    assert reason in str(last["reason"])
    assert "hunter2" not in str(rows(store, "audit_entries"))


REFUSING = """
CREATE FUNCTION verifywise_mlflow.refuse_kind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no room for that'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON verifywise_mlflow.audit_trail
FOR EACH ROW WHEN (NEW.entry::jsonb ->> 'kind' IN ('object unreadable', 'integrity event'))
EXECUTE FUNCTION verifywise_mlflow.refuse_kind();
"""


def test_a_row_exists_only_with_its_audit_entry(registry: Registry, tenant: Tenant, store: Store) -> None:
    version = registry.trained_version("churn")
    sync(tenant, store)
    path = registry.scratch / "model.pkl"
    path.write_bytes(b"other bytes")
    registry.client.log_artifact(version.run_id, str(path), "model")
    before = rows(store, "artifact_manifests")
    with store.begin_shared() as connection:
        connection.execute(text(REFUSING))

    with pytest.raises(Exception, match="no room"):
        sync(tenant, store, SyncOptions(rehash=True))
    assert (rows(store, "integrity_events"), rows(store, "artifact_manifests")) == ([], before)

    registry.version("run never was", run_id="f" * 32)
    with pytest.raises(Exception, match="no room"):
        sync(tenant, store)
    assert "f" * 32 not in [row["run_id"] for row in rows(store, "training_runs")]

    with store.begin_shared() as connection:
        connection.execute(text("DROP TRIGGER refuse ON verifywise_mlflow.audit_trail"))
    sync(tenant, store, SyncOptions(rehash=True))
    entry_kinds = [kind for kind in kinds(store) if kind in ("object unreadable", "integrity event")]
    assert sorted(map(str, entry_kinds)) == ["integrity event", "object unreadable", "object unreadable"]
    assert len(rows(store, "integrity_events")) == 1
    assert verified(store).damage is None
