"""A person accepts forged states, so that syncs commit again: every verifier continues to name the forgery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.cli import app
from verifywise_mlflow.documents.pack.archive import pack_files
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE
from verifywise_mlflow.services.evidence_pack import pack_contents
from verifywise_mlflow.services.record_verification.alert_text import acceptance_sentence
from verifywise_mlflow.services.record_verification.verification import verify_records
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Compliance
from verifywise_mlflow_tests.audit.manipulations.evidence import Evidence, run_as_owner
from verifywise_mlflow_tests.audit.manipulations.forgeries import add_leaf_of_newest_event
from verifywise_mlflow_tests.audit.manipulations.instruments import examine, public_key, run_script
from verifywise_mlflow_tests.audit.manipulations.row_snapshot import disabled_triggers

REASON = "Ada: a test wrote this event on the wrong database, ticket 123."
FORGED_EVENT = """
INSERT INTO lifecycle_events (tenant_id, model_name, version_number, incarnation, kind, value, seen_at, sync_id)
VALUES ('acme', 'credit', 1, 1, 'deployment', 'deployed', now(), 'sync-2')
"""
# Reports of many shapes: hence Any.


@dataclass(frozen=True, slots=True)
class Accepted:
    """The evidence after a forgery was refused, accepted, and followed by another sync."""

    evidence: Evidence
    refused: AuditEntry
    """The end of the sync that noticed the forgery."""
    acceptance: Any
    """What ``audit accept-states --json`` printed."""
    proof: Path
    """The proof of a version, as of the acceptance."""
    proved: str
    """What ``audit prove`` printed about this version."""
    later: AuditEntry
    """The end of the next sync."""
    now: datetime


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def sync(evidence: Evidence, sync_id: str, at: datetime, settings: dict[str, float]) -> AuditEntry:
    """Sync with a threshold that adopts another version of the policy; return the sync's end."""
    tenant = load_tenants(evidence.folder / "tenants.yaml")["acme"]
    tenant = tenant.model_copy(update={"compliance": Compliance(thresholds=settings)})
    with Sync(tenant, evidence.store, now=lambda: at, sync_id=sync_id) as run:
        run.run_all()
    with evidence.store.begin("acme") as session:
        ((_, ended),) = audit_log.entries(session, limit=1)
    return ended


@pytest.fixture(scope="module")
def accepted(_evidence: Evidence, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accepted]:
    def forge(session: TenantSession) -> None:
        run_as_owner(session, FORGED_EVENT)
        add_leaf_of_newest_event(session)

    now, proof = datetime.now(UTC), tmp_path_factory.mktemp("accepted") / "proof.json"
    with pytest.MonkeyPatch.context() as environment, _evidence.manipulated(forge):
        environment.setenv("VERIFYWISE_DATABASE_URL", _evidence.database_url)
        environment.setenv("VERIFYWISE_TENANTS", str(_evidence.folder / "tenants.yaml"))
        environment.setenv(SIGNING_KEY_VARIABLE, f"file:{_evidence.folder}/signing.pem")
        refused = sync(_evidence, "sync-4", now + timedelta(days=7), {"most_production_versions": 3})
        result = run("accept-states", "acme", "--reason", REASON, "--json")
        assert result.exit_code == 0, result.output
        proved = run("prove", "acme", "credit", "1", "--output", str(proof))
        assert proved.exit_code == 0, proved.output
        later = sync(_evidence, "sync-5", now + timedelta(days=14), {"most_production_versions": 4})
        yield Accepted(_evidence, refused, json.loads(result.stdout), proof, proved.stderr, later, now)


@pytest.fixture(autouse=True)
def _environment(examined: Evidence) -> None:
    """Run commands on the evidence."""


def test_the_next_sync_commits_again_and_repeats_what_was_accepted(accepted: Accepted) -> None:
    assert "the log has states of the sync 'sync-2', which is not under way" in str(accepted.refused.reason)
    states = accepted.later.counts["states"]
    assert "not committed" not in str(accepted.later.reason)
    assert states["accepted"] == [{name: accepted.acceptance[name] for name in ("first", "last", "entry")}]  # type: ignore[index]  # a mapping


def test_the_verification_names_the_accepted_states_and_the_reason_with_a_code_of_its_own(accepted: Accepted) -> None:
    result = run("verify", "acme", "--records", "--json")
    report = json.loads(result.stdout)
    (part,) = report["records"]["accepted"]
    forged, *others = part["states"]

    assert (result.exit_code, report["outcome"], report["records"]["outcome"]) == (4, "intact", "accepted")
    assert report["records"]["damages"] == []
    assert REASON in part["reason"]
    assert part["by"]
    assert (forged["kind"], forged["model_name"], forged["sync_id"]) == ("lifecycle event", "credit", "sync-2")
    assert {state["sync_id"] for state in others} == {"sync-4"}

    printed = " ".join(run("verify", "acme", "--records").stdout.split())
    assert f"ACCEPTED by {part['by']}" in printed
    assert f"NOT proved: no sync committed the states at positions {part['first']} to {part['last']}" in printed


def test_the_verification_of_the_trail_alone_names_the_acceptance_and_succeeds(accepted: Accepted) -> None:
    printed, report = run("verify", "acme"), json.loads(run("verify", "acme", "--json").stdout)

    assert printed.exit_code == 0
    assert f", entry {accepted.acceptance['entry']}: " in printed.stdout
    assert REASON in report["states_accepted"][0]["reason"]


def test_a_changed_row_of_an_accepted_state_is_damage_like_any_other(accepted: Accepted) -> None:
    with accepted.evidence.store.begin("acme") as session, disabled_triggers(session.connection):
        run_as_owner(session, "UPDATE lifecycle_events SET value = 'retired' WHERE kind = 'deployment'")
    try:
        examination = examine(accepted.evidence, "--records")
    finally:
        with accepted.evidence.store.begin("acme") as session, disabled_triggers(session.connection):
            run_as_owner(session, "UPDATE lifecycle_events SET value = 'deployed' WHERE kind = 'deployment'")

    assert examination.exit_code == 1
    assert "changed lifecycle_events credit 1 event" in examination.records
    assert "accepted state_log credit 1 lifecycle event" in examination.records


def test_a_proof_of_an_accepted_state_says_so(accepted: Accepted, tmp_path: Path) -> None:
    def verified(proof: Path, tenant: str) -> tuple[int, str]:
        return run_script("verify_proof.py", str(proof), "--tenant", tenant, *public_key(accepted.evidence))

    entry = accepted.acceptance["entry"]
    assert "No sync committed the evaluation of" in accepted.proved
    code, printed = verified(accepted.proof, "acme")
    assert (code, "NO SYNC COMMITTED the evaluation of" in printed) == (4, True), printed
    assert f"a person accepted it, see entry {entry}." in printed

    code, printed = verified(accepted.proof, "globex")
    assert (code, "is of the tenant 'acme', but this must be about 'globex'" in printed) == (2, True), printed

    document = json.loads(accepted.proof.read_text())
    document["entries"][0] = document["entries"][0].replace('"accepted":[{', '"ignored":[{')
    hiding = tmp_path / "hiding.json"
    hiding.write_text(json.dumps(document))
    code, printed = verified(hiding, "acme")
    assert (code, "not as it was when a checkpoint was signed" in printed) == (1, True), printed


def test_the_script_of_an_evidence_pack_says_so(accepted: Accepted, tmp_path: Path) -> None:
    with accepted.evidence.store.begin("acme") as session:
        contents = pack_contents(session, ("credit", 1), accepted.now + timedelta(days=10))
    assert contents is not None
    for name, content in pack_files(contents).items():
        (tmp_path / name).write_bytes(content)

    code, printed = run_script(str(tmp_path / "verify.py"), *public_key(accepted.evidence))

    assert code == 4, printed
    assert "ok     the audit trail commits what state-proof.json has" in printed
    assert "verdicts are those that state-proof.json proves" in printed
    assert "note   NO SYNC COMMITTED the evaluation of" in printed
    assert "NOT PROVED" not in printed


def test_the_script_for_exports_prints_who_accepted_what(accepted: Accepted, tmp_path: Path) -> None:
    export = tmp_path / "acme.jsonl"
    assert run("export", "acme", "--output", str(export)).exit_code == 0

    code, printed = run_script("verify_audit_export.py", str(export), "--tenant", "acme")

    assert code == 0  # the trail itself is intact: only --records and proofs examine the states
    (line,) = [line for line in printed.splitlines() if line.startswith("ACCEPTED by {")]
    assert f"in entry {accepted.acceptance['entry']}: " in line
    assert REASON in line


def test_an_alert_tells_of_a_new_acceptance_once(accepted: Accepted) -> None:
    report = verify_records(accepted.evidence.store, "acme")

    assert REASON in str(acceptance_sentence(report, accepted.now))
    assert acceptance_sentence(report, accepted.now + timedelta(days=1)) is None


def test_there_is_nothing_to_accept_a_second_time(accepted: Accepted) -> None:
    result = run("accept-states", "acme", "--reason", REASON)
    assert (result.exit_code, "no state of 'acme' is refused" in " ".join(result.stderr.split())) == (1, True)
    assert run("accept-states", "acme", "--reason", " ").exit_code == 2
