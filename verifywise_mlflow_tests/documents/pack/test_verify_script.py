"""``verify.py`` of a pack: a bare Python runs it, and it finds each manipulation."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from verifywise_mlflow.audit.export import export_lines
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow_tests.documents.pack.packed_versions import FRAUD, PackedTenant, packed
from verifywise_mlflow_tests.documents.pack.unpacked import verify, write_checksums
from verifywise_mlflow_tests.support.documentation import ROOT


@pytest.fixture(scope="module")
def trail(packed_tenant: PackedTenant, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the whole trail."""
    path = tmp_path_factory.mktemp("trail") / "acme.jsonl"
    with packed_tenant.store.begin("acme") as session:
        stored = audit_log.checkpoints(session)
        path.write_text("".join(f"{line}\n" for line in export_lines(audit_log.links(session), stored)))
    return path


def test_a_bare_python_confirms_an_unchanged_pack(folder: Path) -> None:
    result = verify(folder)

    assert (result.returncode, result.stderr) == (0, "")
    assert "no difference found" in result.stdout
    assert "verdicts rest on the rules, values and thresholds" in result.stdout
    assert "0 verdicts" not in result.stdout
    assert "0 audit entries" not in result.stdout


def test_the_whole_trail_confirms_the_entries_and_the_checkpoint(
    folder: Path, trail: Path, packed_tenant: PackedTenant, tmp_path: Path
) -> None:
    result = verify(folder, "--trail", str(trail))
    key, saved = tmp_path / "public.pem", tmp_path / "saved.jsonl"
    key.write_text(packed_tenant.public_key)
    saved.write_text(trail.read_text().splitlines()[-1])  # the checkpoint, which an auditor got from another source
    script = ROOT / "tools" / "verify_audit_export.py"
    command = [sys.executable, str(script), str(trail), "--public-key", str(key), "--checkpoint", str(saved)]
    signatures = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "")
    assert "the trail is one chain" in result.stdout
    assert json.loads((folder / "proof.json").read_text())["checkpoint"] is not None
    assert signatures.returncode == 0, signatures.stdout  # as README.txt says


def test_the_key_confirms_that_the_trail_commits_the_record_and_the_verdicts(
    folder: Path, packed_tenant: PackedTenant
) -> None:
    key = folder / "public.pem"  # as README.txt says: in the folder of the pack
    key.write_text(packed_tenant.public_key)
    command = [sys.executable, "-I", "verify.py", "--public-key", "public.pem"]

    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)

    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert "the audit trail commits what state-proof.json has" in result.stdout
    assert "verdicts are those that state-proof.json proves" in result.stdout
    assert "the signature over it was verified" in result.stdout


def test_without_cryptography_a_key_is_no_success(folder: Path, packed_tenant: PackedTenant, tmp_path: Path) -> None:
    key = tmp_path / "public.pem"
    key.write_text("no key")

    result = verify(folder, "--public-key", str(key))

    assert result.returncode == 2, result.stdout
    assert "cannot be verified, and NO signature was" in result.stderr
    assert "no difference found" not in result.stdout


def test_a_file_that_an_argument_names_and_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    for option in ("--public-key", "--trail"):
        result = verify(folder, option, str(tmp_path / "nosuch"))

        assert result.returncode == 2, result.stdout
        assert "cannot be verified" in result.stderr
        assert f"{tmp_path}/nosuch: No such file or directory" in result.stderr
        assert "DIFFERENCES FOUND" not in result.stdout


def test_a_pack_that_was_made_before_any_signature_is_unsigned_and_not_different(
    folder: Path, packed_tenant: PackedTenant
) -> None:
    key = folder / "public.pem"
    key.write_text(packed_tenant.public_key)
    proof = json.loads((folder / "state-proof.json").read_text())
    (folder / "state-proof.json").write_text(json.dumps({**proof, "checkpoints": []}))
    _with_new_checksums(lambda _: key.unlink())(folder)
    key.write_text(packed_tenant.public_key)
    command = [sys.executable, "-I", str(folder / "verify.py"), "--public-key", str(key)]

    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode == 4, result.stdout
    assert "NOT SIGNED: this pack was made before a checkpoint was signed" in result.stdout
    assert "the signature over it was NOT verified" in result.stdout
    assert "DIFFERENCES FOUND" not in result.stdout


def test_its_help_has_an_example_on_each_line(folder: Path) -> None:
    lines = verify(folder, "--help").stdout.splitlines()

    assert "    python3 verify.py                           the pack in itself" in lines


def test_a_pack_of_a_state_that_no_entry_commits_says_so(packed_tenant: PackedTenant) -> None:
    files = packed(packed_tenant.store, FRAUD, 1)  # before the first sync ended

    assert "state-proof.json" not in files
    assert "The audit trail does not prove this state: no entry in the trail of 'acme' commits states" in " ".join(
        files["README.txt"].decode().split()
    )


def _replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def _with_new_checksums(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        change(folder)
        write_checksums(folder)

    return changed


def _replace_record(folder: Path) -> None:
    """Forge the record and its hash in proof.json. Only state-proof.json reveals this."""
    document = json.loads((folder / "record.json").read_text())
    document["record"]["owner"] = "Team Trust"
    (folder / "record.json").write_text(json.dumps(document))
    proof = json.loads((folder / "proof.json").read_text())
    canonical = json.dumps(document["record"], sort_keys=True, separators=(",", ":"))
    proof["record_sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    (folder / "proof.json").write_text(json.dumps(proof))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_replace("index.html", "Team Fraud", "Team Trust"), "index.html is missing, or is not the file"),
        (lambda folder: (folder / "spdx.json").unlink(), "spdx.json is missing"),
        (lambda folder: (folder / "more.txt").write_text("x"), "more.txt is not a file of the pack"),
        (_with_new_checksums(_replace("record.json", "Team Fraud", "Team Trust")), "the record does not have the hash"),
        (_with_new_checksums(_replace("proof.json", '"version_number": 3', '"version_number": 4')), "another version"),
        (_with_new_checksums(_replace("verdicts.json", '"owner": "Team Fraud"', '"owner": "x"')), "other inputs"),
        (_with_new_checksums(_replace("proof.json", "sync started", "sync paused!")), "does not have its hash"),
        (_with_new_checksums(_replace_record), "record.json has another owner than state-proof.json"),
        (
            _with_new_checksums(_replace("verdicts.json", '"verdict": "pass"', '"verdict": "fail"')),
            "another verdict of",
        ),
        (_with_new_checksums(_replace("state-proof.json", "Team Fraud", "Team Trust")), "REFUSED: "),
        (_with_new_checksums(lambda folder: (folder / "state-proof.json").write_text("[]")), "REFUSED: "),
    ],
)
def test_each_manipulation_is_found(folder: Path, change: Callable[[Path], None], found: str) -> None:
    change(folder)

    result = verify(folder)

    assert result.returncode == 1, result.stdout
    assert found in result.stdout
    assert "DIFFERENCES FOUND" in result.stdout


def test_it_passes_as_the_readme_says_with_the_export_in_the_folder_and_a_file_managers_files(
    folder: Path, trail: Path
) -> None:
    assert b"--output trail.jsonl" in (folder / "README.txt").read_bytes()
    (folder / "trail.jsonl").write_bytes(trail.read_bytes())
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "Thumbs.db").write_bytes(b"x")

    given, not_given = verify(folder, "--trail", str(folder / "trail.jsonl")), verify(folder)

    assert given.returncode == 0, given.stdout
    assert "no difference found" in given.stdout
    assert "trail.jsonl is not a file of the pack" in not_given.stdout


def test_entries_that_the_trail_does_not_have_are_found(folder: Path, trail: Path, tmp_path: Path) -> None:
    shorter = tmp_path / "shorter.jsonl"
    shorter.write_text("".join(trail.read_text().splitlines(keepends=True)[:1]))

    result = verify(folder, "--trail", str(shorter))

    assert result.returncode == 1
    assert "the trail has no entry" in result.stdout


def test_a_file_that_is_no_pack_is_no_success(folder: Path) -> None:
    (folder / "proof.json").write_text("[]")

    result = verify(folder)

    assert result.returncode in (1, 2)
    assert "no difference found" not in result.stdout
