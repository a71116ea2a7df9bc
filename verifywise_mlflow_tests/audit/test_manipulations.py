"""Each manipulation of database, trail, export and proof is detected by the check that the page names."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.audit.export import export_lines
from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.command_catalog import MISUSED
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.audit.manipulations.evidence import Evidence, run_as_owner
from verifywise_mlflow_tests.audit.manipulations.export_edits import EXPORT_MANIPULATIONS, ExportManipulation
from verifywise_mlflow_tests.audit.manipulations.forgeries import FORGERIES, read_trail, write_trail
from verifywise_mlflow_tests.audit.manipulations.instruments import (
    committed_current,
    examine,
    next_commitment,
    public_key,
    run_script,
    saved_checkpoint,
)
from verifywise_mlflow_tests.audit.manipulations.page import PAGE, PARTS
from verifywise_mlflow_tests.audit.manipulations.proof_edits import PROOF_MANIPULATIONS, ProofManipulation, Proofs
from verifywise_mlflow_tests.audit.manipulations.state_manipulations import StateManipulation, state_manipulations
from verifywise_mlflow_tests.audit.manipulations.trail_edits import TRAIL_MANIPULATIONS, Trail, TrailManipulation
from verifywise_mlflow_tests.support.documentation import generated_part, read_page

EXIT_CODES = {"intact": 0, "unproved": 4}
"""The exit codes of both verifiers. All other results have exit code 1."""


@pytest.fixture(scope="module")
def trails(_evidence: Evidence) -> tuple[Trail, Trail]:
    """The tenant's trail, and the trail of another tenant."""
    with _evidence.rolled_back() as session:
        return read_trail(session), read_trail(TenantSession(session.connection, "globex"))


@pytest.fixture(scope="module")
def proofs(_evidence: Evidence, trails: tuple[Trail, Trail]) -> Proofs:
    """Genuine proofs."""
    trail, _ = trails
    first, last = trail.checkpoints[0].sequence, trail.checkpoints[-1].sequence
    signed_first = json.loads(trail.links[first - 1].text)["occurred_at"]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VERIFYWISE_DATABASE_URL", _evidence.database_url)
        return Proofs(
            current=_prove("acme", "credit", "1"),
            former=_prove("acme", "credit", "1", "--as-of", signed_first),
            other_version=_prove("acme", "credit", "2"),
            other_tenant=_prove("globex", "pricing", "1"),
            growth=_prove("acme", "--consistency", str(first), str(last)),
        )


def _prove(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["audit", "prove", *arguments])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_the_genuine_evidence_is_accepted(examined: Evidence, proofs: Proofs, tmp_path: Path) -> None:
    given = (*public_key(examined), *saved_checkpoint(examined))
    examination = examine(examined, *saved_checkpoint(examined), "--records")
    codes = [run_script("verify_audit_export.py", str(examined.folder / "acme.jsonl"), *given)[0]]
    for proof in (proofs.current, proofs.growth):
        (tmp_path / "proof.json").write_text(json.dumps(proof))
        codes.append(run_script("verify_proof.py", str(tmp_path / "proof.json"), *given)[0])

    assert (examination.exit_code, examination.trail, examination.records) == (0, "intact", [])
    assert next_commitment(examined) == ""
    assert codes == [0, 0, 0]


@pytest.mark.parametrize("manipulation", state_manipulations(), ids=lambda manipulation: manipulation.what)
def test_each_manipulation_of_stored_states_is_noticed(examined: Evidence, manipulation: StateManipulation) -> None:
    def change(session: TenantSession) -> None:
        run_as_owner(session, manipulation.sql)
        for forgery in manipulation.then:
            FORGERIES[forgery](session)

    refusal = examined.refusal(manipulation.sql)
    with examined.manipulated(change, with_triggers=manipulation.keeps_triggers):
        examination = examine(examined, *saved_checkpoint(examined), "--records")
        next_entry = next_commitment(examined)
    assert (refusal is not None) is manipulation.is_refused, refusal
    assert examination.trail == manipulation.trail
    *expected, last = manipulation.records or ("",)
    if last == "...":
        assert [row for row in expected if row not in examination.records] == []
    else:
        assert sorted(examination.records) == sorted(manipulation.records)
    assert manipulation.next_entry in next_entry
    assert bool(manipulation.next_entry) == bool(next_entry)


@pytest.mark.parametrize(
    ("sql", "is_refused"),
    [
        ("UPDATE state_models SET root = repeat('0', 64) WHERE model_name = 'credit'", False),
        ("UPDATE state_models SET root = repeat('0', 64) WHERE model_name = 'fraud'", False),
        ("UPDATE state_log SET leaf_hash = repeat('0', 64) WHERE model_name = 'credit' AND kind = 'record'", True),
        ("UPDATE state_log SET leaf_hash = repeat('0', 64) WHERE model_name = 'fraud' AND kind = 'record'", False),
    ],
)
def test_no_former_state_is_committed_as_the_newest_one(examined: Evidence, sql: str, is_refused: bool) -> None:
    """A changed hash of another model's old state does not matter: only new states and stored roots are read."""
    genuine = committed_current(examined, "SELECT 1")

    committed = committed_current(examined, sql)

    assert committed == (None if is_refused else genuine)


@pytest.mark.parametrize("manipulation", TRAIL_MANIPULATIONS, ids=lambda manipulation: manipulation.what)
def test_each_manipulation_of_a_trail_is_noticed_in_the_database_and_in_an_export(
    examined: Evidence, trails: tuple[Trail, Trail], manipulation: TrailManipulation, tmp_path: Path
) -> None:
    edited = manipulation.edit(*trails)
    export = tmp_path / "edited.jsonl"
    export.write_text("".join(f"{line}\n" for line in export_lines(edited.links, edited.checkpoints)))

    with examined.manipulated(lambda session: write_trail(session, edited)):
        alone, found = examine(examined), examine(examined, *saved_checkpoint(examined))
    script = ("verify_audit_export.py", str(export), "--tenant", "acme", *public_key(examined))
    codes = [run_script(*script)[0], run_script(*script, *saved_checkpoint(examined))[0]]

    assert (alone.trail, found.trail) == (manipulation.alone, manipulation.found)
    assert codes == ([MISUSED] * 2 if manipulation.is_wrong_file else [alone.exit_code, found.exit_code])
    expected = [EXIT_CODES.get(outcome, 1) for outcome in (manipulation.alone, manipulation.found)]
    assert [alone.exit_code, found.exit_code] == expected


@pytest.mark.parametrize("manipulation", EXPORT_MANIPULATIONS, ids=lambda manipulation: manipulation.what)
def test_each_manipulation_of_an_exported_file_is_noticed(
    examined: Evidence, manipulation: ExportManipulation, tmp_path: Path
) -> None:
    export = tmp_path / "edited.jsonl"
    export.write_bytes(manipulation.edit((examined.folder / "acme.jsonl").read_bytes()))

    given = ("--tenant", "acme", *public_key(examined), *saved_checkpoint(examined))
    code, output = run_script("verify_audit_export.py", str(export), *given)

    assert (code, manipulation.says in output) == (manipulation.exit_code, True), output


@pytest.mark.parametrize("manipulation", PROOF_MANIPULATIONS, ids=lambda manipulation: manipulation.what)
def test_each_manipulation_of_a_proof_is_noticed(
    examined: Evidence, proofs: Proofs, manipulation: ProofManipulation, tmp_path: Path
) -> None:
    proof = tmp_path / "proof.json"
    proof.write_text(json.dumps(manipulation.edit(proofs)))

    saved = saved_checkpoint(examined) if manipulation.has_saved_checkpoint else ()
    code, output = run_script("verify_proof.py", str(proof), *public_key(examined), *saved)

    assert (code, manipulation.says in output) == (manipulation.exit_code, True), output


CREDIT = "WHERE tenant_id = 'acme' AND model_name = 'credit' AND version_number"
FORGED_ROWS = {
    "changed canonical_records credit 1 (owner)": f"UPDATE canonical_records SET owner = 'Mallory' {CREDIT} = 1",
    "changed canonical_records credit 2 (metrics)": (
        f"""UPDATE canonical_records SET metrics = '{{"auc": 0.99}}' {CREDIT} = 2"""
    ),
    "changed version_verdicts credit 1 safe-serialization (verdict)": (
        f"UPDATE version_verdicts SET verdicts[array_position(rule_ids, 'safe-serialization')] = 'pass' {CREDIT} = 1"
    ),
    "changed compliance_badges credit 2 (badge)": f"UPDATE compliance_badges SET badge = 'passing' {CREDIT} = 2",
    "changed waivers waiver (approver)": "UPDATE waivers SET approver = 'Mallory' WHERE rule_id = 'owner'",
    "changed lifecycle_events credit 2 event (value)": (
        "UPDATE lifecycle_events SET value = '1' WHERE kind = 'alias' AND sync_id = 'sync-2'"
    ),
}
"""The rows that an owner of the database changed without a trace in an earlier release, and how."""


def test_rows_that_the_owner_changed_are_named_one_by_one_before_and_after_the_next_sync(examined: Evidence) -> None:
    def change(session: TenantSession) -> None:
        for statement in FORGED_ROWS.values():
            run_as_owner(session, statement)

    with examined.manipulated(change):
        before = examine(examined, "--records")
        in_a_week = datetime.now(UTC) + timedelta(days=7)
        tenant = load_tenants(examined.folder / "tenants.yaml")["acme"]
        with Sync(tenant, examined.store, now=lambda: in_a_week, sync_id="after-the-attack") as run:
            run.run_all()
        after = examine(examined, "--records")

    # The sync evaluates the version again, so that the forged badge becomes a former one.
    later_rows = [row.replace("compliance_badges", "compliance_badge_history") for row in FORGED_ROWS]
    assert [row for row in FORGED_ROWS if row not in before.records] == []
    assert [row for row in later_rows if row not in after.records] == []
    assert (before.exit_code, after.exit_code) == (1, 1)


def test_there_are_more_than_a_hundred() -> None:
    of_files = len(EXPORT_MANIPULATIONS) + len(PROOF_MANIPULATIONS)
    assert len(state_manipulations()) + len(TRAIL_MANIPULATIONS) + of_files > 100


@pytest.mark.parametrize("name", PARTS)
def test_the_page_has_each(name: str) -> None:
    # To update it: python -m verifywise_mlflow_tests.audit.manipulations.page
    assert generated_part(read_page(PAGE), name).splitlines() == [*PARTS[name]()]
