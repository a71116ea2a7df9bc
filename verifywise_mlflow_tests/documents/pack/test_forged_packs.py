"""``verify.py`` compares a pack with its proof: a forger who adapts all hashes in the pack is found, or named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.documents.pack.archive import pack_files
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE
from verifywise_mlflow.services.evidence_pack import pack_contents
from verifywise_mlflow_tests.documents.pack.packed_versions import (
    CHURN,
    FRAUD,
    PackedTenant,
    commit,
    contents_of,
    packed,
)
from verifywise_mlflow_tests.documents.pack.unpacked import Documents, Forgery, forge, unpack, verify
from verifywise_mlflow_tests.support.stored_states import day, write_record, write_verdicts

RULE = "owner"
"""A rule whose verdict rests on a value and has no threshold."""


def in_all(**members: object) -> Forgery:
    """Return a forgery of members that three documents have."""

    def change(documents: Documents) -> None:
        for name in ("record", "verdicts", "proof"):
            documents[name].update(members)

    return change


def in_record(**members: object) -> Forgery:
    """Return a forgery of record.json."""
    return lambda documents: documents["record"].update(members)


def in_field(field: str, value: object) -> Forgery:
    """Return a forgery of a field of the record."""
    return lambda documents: documents["record"]["record"].update({field: value})


def in_verdict(**members: object) -> Forgery:
    """Return a forgery of a verdict whose hash is then no longer listed."""

    def change(documents: Documents) -> None:
        (verdict,) = (one for one in documents["verdicts"]["verdicts"] if one["rule_id"] == RULE)
        verdict.update(members)
        del documents["proof"]["verdict_input_hashes"][RULE]

    return change


def add_verdict_before_the_genuine_one(documents: Documents) -> None:
    verdicts = documents["verdicts"]["verdicts"]
    gap = next(verdict for verdict in verdicts if verdict["verdict"] == "fail")
    verdicts.insert(0, {**gap, "verdict": "pass"})


def remove_verdict(documents: Documents) -> None:
    gap = documents["verdicts"]["verdicts"].pop(0)
    documents["proof"]["verdict_input_hashes"].pop(gap["rule_id"], None)


def replace_origin(documents: Documents) -> None:
    documents["record"]["origins"]["owner"] = {"source": "nobody"}


@pytest.mark.parametrize(
    ("forgery", "found"),
    [
        (lambda documents: documents["verdicts"]["badge"].update(badge="forged"), "another badge than state-proof"),
        (lambda documents: documents["verdicts"].update(badge=None), "another badge than state-proof"),
        (lambda documents: documents["record"].update(record={}), "record.json has other fields than"),
        (lambda documents: documents["record"]["record"].pop("owner"), "record.json has other fields than"),
        (in_field("approved_by", "Ada"), "record.json has other fields than"),
        (in_field("origins", {}), "record.json has other fields than"),
        (replace_origin, "record.json has another origins than state-proof"),
        (in_record(findings=[{"text": "forged"}]), "record.json has another findings than state-proof"),
        (in_record(incomplete=[{"kind": "run"}]), "record.json has another incomplete than state-proof"),
        (in_record(deleted_at="2026-03-04T12:00:00Z"), "record.json has another deleted_at than state-proof"),
        (in_all(model_name="trusted"), "record.json has another model_name than state-proof"),
        (in_all(version_number=4), "record.json has another version_number than state-proof"),
        (lambda documents: documents["verdicts"].update(as_of="2026-03-06T12:00:00Z"), "verdicts.json has another"),
        (in_all(as_of="2026-02-28T12:00:00Z"), "the pack has the time 2026-02-28T12:00:00Z, but its states were"),
        (in_verdict(values={"owner": "Team Trust"}), f"another verdict of {RULE} than state-proof.json: values"),
        (in_verdict(thresholds={"most": 9}), f"another verdict of {RULE} than state-proof.json: thresholds"),
        (in_verdict(day="2026-03-01"), f"another verdict of {RULE} than state-proof.json: day"),
        (in_verdict(origins={}), f"another verdict of {RULE} than state-proof.json: origins"),
        (in_verdict(rule_version=9), f"another verdict of {RULE} than state-proof.json: rule_version"),
        (in_verdict(policy_id="x", policy_version="9"), "state-proof.json: policy_id, policy_version"),
        (add_verdict_before_the_genuine_one, "verdicts.json has another verdict of"),
        (remove_verdict, "verdicts.json has no verdict of"),
    ],
)
def test_each_forgery_is_found(folder: Path, forgery: Forgery, found: str) -> None:
    forge(folder, forgery)

    result = verify(folder)

    assert result.returncode == 1, result.stdout
    assert found in result.stdout


def test_a_rule_that_did_not_give_its_verdict_is_named(folder: Path) -> None:
    def replace_rule(documents: Documents) -> None:
        documents["verdicts"]["rules"][RULE]["requires"] = "true"
        del documents["proof"]["verdict_input_hashes"][RULE]

    forge(folder, replace_rule)

    assert f"NOT proved: the rule {RULE} in verdicts.json" in verify(folder).stdout


def test_a_listed_hash_that_is_removed_frees_nothing(folder: Path) -> None:
    forge(folder, lambda documents: documents["proof"].update(verdict_input_hashes={}))

    result = verify(folder)

    assert (result.returncode, "NOT proved: the rule" in result.stdout) == (0, False), result.stdout
    assert "ok     0 verdicts" not in result.stdout


@pytest.mark.parametrize("key", [FRAUD, CHURN])
@pytest.mark.parametrize("day_number", [2, 3, 4, 5, None])
def test_a_genuine_pack_of_any_day_is_accepted_with_its_times(
    packed_tenant: PackedTenant, tmp_path: Path, key: tuple[str, int], day_number: int | None
) -> None:
    result = verify(unpack(packed(packed_tenant.store, key, day_number), tmp_path / "pack"))

    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert f"note   At 2026-03-0{day_number if day_number in (2, 3) else 3 if day_number == 4 else 5}" in result.stdout
    assert f"the newest states of '{key[0]}' version {key[1]} were:" in result.stdout
    assert "note   NOT proved: verdicts.json: waivers," in result.stdout


def test_a_former_pack_cannot_be_dated_forward(packed_tenant: PackedTenant, tmp_path: Path) -> None:
    former = packed(packed_tenant.store, FRAUD, 2)
    folder, cut_off = unpack(former, tmp_path / "pack"), unpack(former, tmp_path / "cut off")
    date_forward = in_all(as_of="2026-11-30T12:00:00Z")

    def cut_off_later_entries(documents: Documents) -> None:
        date_forward(documents)
        proof = documents["state-proof"]
        proof.update(entries=proof["entries"][:1], checkpoints=[])

    forge(folder, date_forward)
    forge(cut_off, cut_off_later_entries)
    found, doubted = verify(folder), verify(cut_off)

    assert found.returncode == 1, found.stdout
    assert "the pack has the time 2026-11-30T12:00:00Z, but other states were committed" in found.stdout
    assert doubted.returncode == 4, doubted.stdout
    assert "NOT PROVED: that these were still the newest states at 2026-11-30T12:00:00Z" in doubted.stdout


def test_a_pack_of_a_time_after_the_last_entry_says_what_is_not_proved(
    packed_tenant: PackedTenant, tmp_path: Path
) -> None:
    result = verify(unpack(packed(packed_tenant.store, FRAUD, 9), tmp_path / "pack"))

    assert result.returncode == 4, result.stdout
    assert "NOT PROVED: that these were still the newest states at 2026-03-09" in result.stdout


def test_verdicts_cannot_be_removed_together_with_their_proof(folder: Path) -> None:
    def remove_evaluations(documents: Documents) -> None:
        proof = documents["state-proof"]
        proof["states"] = [state for state in proof["states"] if '"kind":"evaluation"' not in state["leaf"]]
        documents["verdicts"].update(verdicts=[], badge=None)
        documents["proof"]["verdict_input_hashes"] = {}

    forge(folder, remove_evaluations)
    result = verify(folder)

    assert result.returncode == 4, result.stdout
    assert "NOT PROVED: that the version had no verdict and no badge" in result.stdout


def packed_for_globex(store: Store) -> Mapping[str, bytes]:
    """Return the pack of a deleted version of another tenant. Its trail ends with an entry that commits no states."""
    inputs = RecordInputs(version=ModelVersion(*FRAUD), model=RegisteredModel(FRAUD[0]))
    write_record(store, inputs, day(1), tenant_id="globex", deleted_at=day(1) + timedelta(milliseconds=1))

    started = AuditEntry("globex", day(2), "sync started", "sync of day 2", "https://mlflow.example", "noted", "0.1.0")
    with store.begin("globex") as session:
        commit(session, "sync ended", "sync of day 1", day(1))
        audit_log.append(session, [started])
        contents = pack_contents(session, FRAUD)
    assert contents is not None
    return pack_files(contents)


def test_a_genuine_pack_without_verdicts_is_no_difference_and_covers_the_last_entry(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SIGNING_KEY_VARIABLE, raising=False)  # another test of this process may sign

    result = verify(unpack(packed_for_globex(store), tmp_path / "pack"))

    assert result.returncode == 4, result.stdout
    assert "NOT PROVED: that the version had no verdict and no badge" in result.stdout
    assert "NOT PROVED: that these were still" not in result.stdout
    assert "until 2026-03-02" in result.stdout


def test_a_pack_with_a_badge_that_no_entry_commits_has_no_proof(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SIGNING_KEY_VARIABLE, raising=False)  # another test of this process may sign
    write_record(store, RecordInputs(version=ModelVersion(*FRAUD), model=RegisteredModel(FRAUD[0])), day(1))
    write_verdicts(store, {RULE: Verdict.PASS}, day(1))
    with store.begin("acme") as session:
        commit(session, "sync ended", "sync of day 1", day(1))
    committed = contents_of(store, FRAUD)
    write_verdicts(store, {RULE: Verdict.PASS}, day(2), complete=False)
    contents = contents_of(store, FRAUD, 2)

    assert committed.proof is not None
    assert contents.dossier.badge is not None
    assert contents.dossier.badge.badge == "incomplete"
    assert (contents.proof, contents.unproved) == (
        None,
        "a sync has changed the record, a verdict or the badge, and no entry of the audit trail commits that yet",
    )


@pytest.mark.parametrize(
    ("tenant", "exit_code", "found"),
    [
        ("acme", 2, "state-proof.json is of the tenant 'globex', but this must be about 'acme'"),
        ("", 1, "record.json has another tenant than state-proof.json"),
    ],
)
def test_the_pack_of_another_tenant_cannot_be_renamed(
    store: Store, tmp_path: Path, tenant: str, exit_code: int, found: str
) -> None:
    folder = unpack(packed_for_globex(store), tmp_path / "pack")

    def rename(documents: Documents) -> None:
        in_all(tenant=tenant)(documents)
        documents["proof"].update(audit_entries=[], checkpoint=None)

    forge(folder, rename)
    result = verify(folder)

    assert (result.returncode, found in result.stdout + result.stderr) == (exit_code, True), result.stdout
