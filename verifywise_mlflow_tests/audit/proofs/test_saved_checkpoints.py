"""Keys and checkpoints that an auditor saved: which of them cover a proof, contradict a proof, or cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow_tests.audit.proofs.proof_documents import Proofs
from verifywise_mlflow_tests.audit.proofs.proof_script import run_script


def _saved(folder: Path, *checkpoints: Any, key: SigningKey | None = None, **fields: object) -> Path:
    """Write the checkpoints that an auditor saved, with other fields that a key signs."""
    lines = []
    for checkpoint in checkpoints:
        text = json.dumps({**json.loads(checkpoint["checkpoint"]), **fields})
        lines.append(Checkpoint(text, key.sign(text.encode()).hex()).to_json_line() if key else json.dumps(checkpoint))
    path = folder / "saved.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_a_checkpoint_that_contradicts_an_entry_is_refused(proofs: Proofs, tmp_path: Path) -> None:
    saved = _saved(tmp_path, proofs.first["checkpoints"][0], key=proofs.key, entry_hash="00" * 32)

    code, printed = run_script(
        proofs.consistency, tmp_path / "p.json", "--public-key", proofs.public_key, "--checkpoint", saved
    )

    assert (code, "not as it was when a checkpoint was signed" in printed) == (1, True), printed


def test_a_checkpoint_over_an_entry_that_is_not_in_the_file_is_no_damage_and_no_support(
    proofs: Proofs, tmp_path: Path
) -> None:
    given = ("--public-key", proofs.public_key, "--checkpoint")
    older, newer = proofs.first["checkpoints"][0], proofs.newest["checkpoints"][0]
    first, last = (json.loads(proofs.first["entries"][place])["sequence"] for place in (0, -1))

    too_old = run_script(proofs.newest, tmp_path / "p.json", *given, _saved(tmp_path, older))
    too_new = run_script(proofs.first, tmp_path / "p.json", *given, _saved(tmp_path, newer))
    both = run_script(proofs.first, tmp_path / "p.json", *given, _saved(tmp_path, older, newer))

    assert [code for code, _ in (too_old, too_new, both)] == [4, 4, 0]
    signed = json.loads(newer["checkpoint"])["sequence"]
    sentence = f"NOT COVERED BY {tmp_path}/saved.jsonl: entry {signed} is not in this file, which has entries"
    assert f"{sentence} {first} to {last}: see `audit prove --checkpoint`" in too_new[1]
    assert "NOT COVERED" not in both[1]
    lines = [line.split(": signed")[0] for line in both[1].splitlines() if "signed at" in line]
    assert lines == [f"Entry {last}, this file", f"Entry {last}, {tmp_path}/saved.jsonl"]


def test_each_file_with_checkpoints_must_cover_the_proof(proofs: Proofs, tmp_path: Path) -> None:
    """Otherwise, a proof that begins after the auditor's last visit would pass as a proof since the visit."""
    covering = tmp_path / "covering.jsonl"
    covering.write_text(json.dumps(proofs.newest["checkpoints"][0]))
    last_year = _saved(tmp_path, proofs.first["checkpoints"][0])
    given = ("--public-key", proofs.public_key, "--checkpoint", covering, "--checkpoint", last_year)

    code, printed = run_script(proofs.newest, tmp_path / "p.json", *given)

    assert (code, f"NOT COVERED BY {last_year}" in printed) == (4, True), printed


@pytest.mark.parametrize(
    ("proof", "with_tenant", "wrong_file"), [("newest", False, "saved.jsonl"), ("other_tenant", True, "p.json")]
)
def test_a_checkpoint_or_proof_of_another_tenant_is_a_wrong_file_and_no_forgery(
    proofs: Proofs,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    proof: str,
    with_tenant: bool,
    wrong_file: str,
) -> None:
    saved = _saved(tmp_path, proofs.other_tenant["checkpoints"][0])
    tenant = ("--tenant", "acme") if with_tenant else ("--checkpoint", saved)

    code, printed = run_script(getattr(proofs, proof), tmp_path / "p.json", "--public-key", proofs.public_key, *tenant)

    said = capsys.readouterr().err
    assert (code, printed) == (2, "")
    assert f"cannot be verified, and NO signature was: {tmp_path}/{wrong_file} is of the tenant 'globex', but" in said


@pytest.mark.parametrize("content", [b"", b"\n", b"{}", b"[]", b"not JSON", b"\xff\xfe{\0", None])
@pytest.mark.parametrize("option", ["--checkpoint", "--public-key"])
def test_a_key_or_checkpoint_that_cannot_be_read_is_named(
    proofs: Proofs, tmp_path: Path, content: bytes | None, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "given"
    if content is not None:
        file.write_bytes(content)

    code, printed = run_script(proofs.newest, tmp_path / "p.json", option, file)

    said = capsys.readouterr().err
    assert (code, printed) == (2, "")
    assert f"{file}: " in said
    assert ("No such file" if content is None else "neither a public key in PEM nor a checkpoint in each line") in said


def test_a_private_key_is_refused_with_a_warning(
    proofs: Proofs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "signing.pem"
    key.write_bytes(proofs.key.pem())

    code, _ = run_script(proofs.newest, tmp_path / "p.json", "--public-key", key)

    assert (code, "PRIVATE key must never leave the operator" in capsys.readouterr().err) == (2, True)


def test_what_windows_adds_to_a_text_makes_no_difference(proofs: Proofs, tmp_path: Path) -> None:
    key, saved, file = tmp_path / "key.pem", tmp_path / "saved.jsonl", tmp_path / "p.json"
    key.write_bytes(b"\xef\xbb\xbf" + proofs.public_key.read_bytes().replace(b"\n", b"\r\n"))
    saved.write_bytes(b"\xef\xbb\xbf" + json.dumps(proofs.newest["checkpoints"][0]).encode() + b"\r\n")

    code, printed = run_script(proofs.newest, file, "--public-key", key, "--checkpoint", saved)

    assert (code, printed.count("verified.")) == (0, 2), printed
