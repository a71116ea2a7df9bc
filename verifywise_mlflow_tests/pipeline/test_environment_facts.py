"""A changed copy of vulnerabilities evaluates records again, and a verdict can be computed again without its copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.policy_dry_run import dry_run
from verifywise_mlflow.services.tenant_policies import InvalidPoliciesError, load_facts, load_rules
from verifywise_mlflow.services.verdict_explanation import explain_verdict
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    tenant_with_policies,
    verdicts,
    write_policy,
)
from verifywise_mlflow_tests.support.stored_states import NOON, day, write_record
from verifywise_mlflow_tests.support.syncing import rows

CLEAN = rule_yaml("clean", "vulnerabilities.known.all(found, found.severity < 7.0)")
OWNED = rule_yaml("owned", "owner == 'ada'")
KEY = ("fraud", 1)


def store_packages(store: Store, requirements: str) -> None:
    """Store the record of a version with these packages."""
    manifest = ArtifactManifest(
        "s3://m/1", "complete", None, (), read_environment({"requirements.txt": requirements.encode()}), None
    )
    inputs = RecordInputs(ModelVersion(*KEY), model=RegisteredModel("fraud"), manifest=manifest)
    write_record(store, inputs, NOON)


def write_entry(folder: Path, package: str) -> None:
    """Make a copy that says that every version of one package has a severe vulnerability."""
    folder.mkdir(exist_ok=True)
    affected = {
        "package": {"ecosystem": "PyPI", "name": package},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
    }
    entry = {"id": "TEST-1", "modified": "2026-03-01T00:00:00Z", "affected": [affected]}
    (folder / "TEST-1.json").write_text(json.dumps(entry), encoding="utf-8")


def tenant(tmp_path: Path, *rules: str) -> Tenant:
    return tenant_with_policies(
        policies=[str(write_policy(tmp_path / "a.yaml", *rules))],
        default_policy=False,
        vulnerability_copy=str(tmp_path / "osv"),
    )


def evaluated(sync: Sync) -> int:
    return sync.reports[0].progress.read


def test_a_changed_copy_evaluates_records_again_if_a_rule_reads_it(store: Store, tmp_path: Path) -> None:
    store_packages(store, "numpy==2.4.0\n")
    write_entry(tmp_path / "osv", "scipy")
    reading = tenant(tmp_path, CLEAN, OWNED)
    first, unchanged = (evaluate(reading, store, day(number)) for number in (1, 2))
    before = verdicts(store)[*KEY, "clean"]

    write_entry(tmp_path / "osv", "numpy")
    changed = evaluate(reading, store, day(3))

    assert (before, verdicts(store)[*KEY, "clean"]) == ("pass", "fail")
    assert [evaluated(sync) for sync in (first, unchanged, changed)] == [1, 0, 1]
    documents = [row["document"] for row in rows(store, "config_versions") if row["kind"] == "policy"]
    digests = {json.dumps(document["environment_facts"]) for document in documents}  # type: ignore[index]
    assert len(digests) == 2, "the audit trail says which copy"


def test_a_changed_copy_that_no_rule_reads_evaluates_nothing(store: Store, tmp_path: Path) -> None:
    store_packages(store, "numpy==2.4.0\n")
    write_entry(tmp_path / "osv", "scipy")
    evaluate(tenant(tmp_path, OWNED), store, day(1))

    write_entry(tmp_path / "osv", "numpy")

    assert evaluated(evaluate(tenant(tmp_path, OWNED), store, day(2))) == 0


def test_a_verdict_follows_from_what_is_stored_when_its_copy_is_gone(store: Store, tmp_path: Path) -> None:
    store_packages(store, "numpy==2.4.0\n")
    write_entry(tmp_path / "osv", "numpy")
    evaluate(tenant(tmp_path, CLEAN), store, day(1))
    (tmp_path / "osv" / "TEST-1.json").unlink()

    with store.begin("acme") as session:
        explanation = explain_verdict(session, KEY, "clean", day(1))

    assert explanation is not None
    assert explanation.recomputed is not None
    assert explanation.problems == ()
    assert explanation.recomputed.verdict.value == explanation.verdict.verdict == "fail"
    assert any("stored with the verdict" in remark for remark in explanation.remarks)


def test_the_default_policy_names_the_packages_and_the_date_of_the_copy(store: Store, tmp_path: Path) -> None:
    manifest = ArtifactManifest(
        "s3://m/1", "complete", None, (), read_environment({"requirements.txt": b"numpy==2.4.0\n"}), None
    )
    version = ModelVersion(*KEY, stage="Production")
    write_record(store, RecordInputs(version, model=RegisteredModel("fraud"), manifest=manifest), NOON)
    write_entry(tmp_path / "osv", "numpy")

    evaluate(tenant_with_policies(vulnerability_copy=str(tmp_path / "osv")), store, day(1))
    with_copy = {row["rule_id"]: row for row in rows(store, "compliance_results")}["known-vulnerabilities"]
    evaluate(tenant_with_policies(), store, day(2))
    without_copy = {row["rule_id"]: row for row in rows(store, "compliance_results")}["known-vulnerabilities"]

    assert with_copy["verdict"] == "fail"
    assert "numpy 2.4.0: TEST-1, severity not stated" in str(with_copy["reason"])
    assert "2026-03-01" in str(with_copy["reason"])
    assert without_copy["verdict"] == "not applicable"
    assert "if the operator provides a copy of OSV" in str(without_copy["reason"])


def test_a_copy_that_cannot_be_read_is_a_note_of_the_sync_and_decides_nothing(store: Store, tmp_path: Path) -> None:
    store_packages(store, "numpy==2.4.0\n")

    notes = evaluate(tenant(tmp_path, CLEAN), store, day(1)).reports[0].progress.notes

    assert verdicts(store)[*KEY, "clean"] == "not evidenced"
    assert ["cannot be read as a copy of OSV: No such file or directory" in str(note) for note in notes] == [True]


def test_a_dry_run_reads_the_copy(store: Store, tmp_path: Path) -> None:
    store_packages(store, "numpy==2.4.0\n")
    write_entry(tmp_path / "osv", "scipy")
    described = tenant(tmp_path, CLEAN)
    evaluate(described, store, day(1))
    write_entry(tmp_path / "osv", "numpy")

    result = dry_run(store, "acme", load_rules(described), load_facts(described), day(1).date())

    assert [(change.before, change.after) for change in result.changes if change.rule_id] == [("pass", "fail")]


def test_a_file_of_ends_of_life_with_an_error_is_reported_with_the_tenant(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text("python: {'3.11': soon}\n", encoding="utf-8")

    with pytest.raises(InvalidPoliciesError, match=r"compliance: .*ours\.yaml"):
        load_facts(tenant_with_policies(end_of_life=str(path)))
