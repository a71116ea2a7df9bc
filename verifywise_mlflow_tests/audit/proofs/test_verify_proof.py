"""Proofs of real syncs are verified by a script that shares no code with the product; each manipulation is refused."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from verifywise_mlflow.audit.checkpoint import sign_checkpoint
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.leaf_tree import LeafTree
from verifywise_mlflow.persistence.queries import committed_states
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow_tests.audit.manipulations.proof_edits import with_cell
from verifywise_mlflow_tests.audit.proofs.proof_documents import Proofs
from verifywise_mlflow_tests.audit.proofs.proof_script import SCRIPT, run_script
from verifywise_mlflow_tests.audit.proofs.proved_tenants import SECOND_SYNC, ProvedTenants
from verifywise_mlflow_tests.support.standalone_scripts import imported_packages


def run_program(document: Any, file: Path, *arguments: str | Path, isolated: bool) -> subprocess.CompletedProcess[str]:
    """Run the script as a program without environment variables and without access to installed packages."""
    file.write_text(json.dumps(document))
    flags = ["-I", "-S"] if isolated else ["-I"]
    command = [sys.executable, *flags, str(SCRIPT), str(file), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={}, check=False)


def test_the_script_can_be_read_in_ten_minutes_and_needs_no_package() -> None:
    assert len(SCRIPT.read_text().splitlines()) < 120
    assert imported_packages(SCRIPT) == {"argparse", "hashlib", "json", "pathlib", "sys", "cryptography"}


def test_it_says_in_words_what_was_known_and_who_vouches_for_it(proofs: Proofs, tmp_path: Path) -> None:
    result = run_program(proofs.first, tmp_path / "p.json", "--public-key", proofs.public_key, isolated=False)

    assert (result.returncode, result.stderr) == (0, "")
    assert f"signed at 2026-03-02T12:00:00+00:00 by {proofs.key.key_id}, verified." in result.stdout
    span = "At 2026-03-01T12:00:00.000000+00:00 and until 2026-03-02T12:00:00.000000+00:00"
    assert f"{span}, the newest states of 'churn' version 1 were:\n" in result.stdout
    assert "  owner: Risk \\u202e\\u001b[2J Team\n" in result.stdout
    assert "- owned: pass." in result.stdout
    assert "- badge: " in result.stdout
    assert "NOT PROVED: that MLflow showed the truth" in result.stdout
    assert all(line.isprintable() for line in result.stdout.splitlines())


def test_the_newest_proof_has_verdicts_that_former_evaluations_gave(proofs: Proofs, tmp_path: Path) -> None:
    kinds = [json.loads(state["leaf"])["kind"] for state in proofs.newest["states"]]

    code, printed = run_script(proofs.newest, tmp_path / "p.json", "--public-key", proofs.public_key)

    assert (code, kinds.count("evaluation")) == (0, 3), printed
    assert "- owned: not evidenced." in printed  # since the second sync
    assert "- described: pass." in printed  # since the third one
    assert "inputs NOT hashed" not in printed


def test_a_clock_that_went_back_makes_no_former_verdict_the_newest(proofs: Proofs, tmp_path: Path) -> None:
    code, printed = run_script(proofs.other_tenant, tmp_path / "p.json", "--public-key", proofs.public_key)

    assert (code, "- owned: not evidenced." in printed) == (0, True), printed


def test_without_cryptography_it_says_that_no_signature_was_verified(proofs: Proofs, tmp_path: Path) -> None:
    without_key = run_program(proofs.newest, tmp_path / "p.json", isolated=True)
    with_key = run_program(proofs.newest, tmp_path / "p.json", "--public-key", proofs.public_key, isolated=True)

    assert (without_key.returncode, without_key.stderr) == (0, "")
    assert "NOT verified" in without_key.stdout
    assert "NOTHING VOUCHES FOR THIS" in without_key.stdout
    assert (with_key.returncode, with_key.stdout) == (2, "")
    assert "NO signature was" in with_key.stderr
    assert "cryptography" in with_key.stderr


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, None])
def test_a_file_that_cannot_be_read_has_an_exit_code_of_its_own(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    if content is not None:
        file.write_bytes(content)
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(file)]

    result = subprocess.run(command, capture_output=True, text=True, env={}, check=False)

    assert (result.returncode, result.stdout) == (2, "")
    assert "cannot be verified" in result.stderr


Change = Callable[[Any, Proofs], object]


def _edit(state: Any, **fields: object) -> None:
    """Change a member of a leaf, so that the text is still a leaf."""
    leaf = {**json.loads(state["leaf"]), **fields}
    state["leaf"] = json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _rewrite(state: Any, **fields: object) -> None:
    """Change a text, and the text's hash in the leaf."""
    state["content"] = json.dumps({**json.loads(state["content"]), **fields}, sort_keys=True, separators=(",", ":"))
    _edit(state, content=hashlib.sha256(state["content"].encode()).hexdigest())


def _state(proof: Any, kind: str) -> Any:
    """The newest state of a kind."""
    (state,) = (it for it in proof["states"] if json.loads(it["leaf"])["kind"] == kind and it["model_path"] is not None)
    return state


def _pass_off_as_newest(proof: Any, proofs: Proofs) -> None:
    """Show the record of the first sync, with its true path in the log, as the newest record."""
    former = copy.deepcopy(_state(proofs.first, "record"))
    former["log_path"] = list(proofs.log.path(json.loads(former["leaf"])["position"]))
    former["model_path"] = _state(proof, "record")["model_path"]
    proof["states"][0] = former


def _drop_evaluations(proof: Any) -> None:
    """Leave out the former evaluations, whose verdicts the newest evaluation kept."""
    proof["states"] = [state for state in proof["states"] if state["model_path"] is not None]


def _add_verdict(proof: Any) -> None:
    """Add a verdict of another rule to the verdicts that the newest evaluation gave."""
    columns = _state(proof, "evaluation")["verdicts"]
    for name, column in columns.items():
        columns[name] = f"{column}\x1e{'mine' if name == 'rule_id' else column}"


def _resigned(proof: Any, key: SigningKey, **fields: object) -> None:
    """Sign another claim with the given key."""
    text = json.dumps({**json.loads(proof["checkpoints"][0]["checkpoint"]), **fields})
    proof["checkpoints"][0] = {"checkpoint": text, "signature": key.sign(text.encode()).hex()}


def _entry(proof: Any, **fields: object) -> None:
    proof["entries"][0] = json.dumps({**json.loads(proof["entries"][0]), **fields})


def _own_tree(proof: Any, proofs: Proofs) -> None:
    """Commit to another record in a forged entry, signed with the forger's own key."""
    state = proof["states"][0]
    _rewrite(state, owner="Trustworthy Team")
    root = hashlib.sha256(b"\0" + state["leaf"].encode()).hexdigest()
    states = {**json.loads(proof["entries"][0])["counts"]["states"], "root": root, "size": 1}
    state["log_path"] = []
    _entry(proof, counts={"states": states})
    stranger = SigningKey.generate()
    entry_hash = hashlib.sha256(proof["entries"][0].encode()).hexdigest()
    _resigned(proof, stranger, entry_hash=entry_hash, key_id=stranger.key_id)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p, _: _rewrite(_state(p, "record"), owner="Trustworthy Team"), "is not in the log"),
        (lambda p, _: _rewrite(_state(p, "manifest"), manifest="{}"), "is not in the log"),
        (lambda p, _: _rewrite(_state(p, "evaluation"), badge="compliant"), "is not in the log"),
        (lambda p, _: _state(p, "record").update(content='{"owner":"x"}'), "has another text"),
        (lambda p, _: _edit(_state(p, "record"), position=0), "is not in the log"),
        (lambda p, _: _edit(_state(p, "record"), written_at="2026-01-01T00:00:00.000000+00:00"), "is not in the log"),
        (lambda p, _: _edit(_state(p, "record"), sync_id="another"), "is not in the log"),
        (lambda p, _: _edit(_state(p, "record"), tenant="globex"), "is another version's"),
        (lambda p, _: _edit(_state(p, "record"), model="fraud"), "is another version's"),
        (lambda p, _: _edit(_state(p, "record"), version=2), "is another version's"),
        (lambda p, _: _edit(_state(p, "record"), format="verifywise state 2"), "is another version's"),
        (lambda p, _: p.update(tenant="globex"), "is another tenant's"),
        (lambda p, _: p.update(model_name="fraud"), "is another version's"),
        (lambda p, _: p.update(version_number=2), "is another version's"),
        (lambda p, d: p["states"].append(d.other_version["states"][0]), "is another version's"),
        (lambda p, d: p["states"].insert(0, d.other_tenant["states"][0]), "is another version's"),
        (_pass_off_as_newest, "is not the newest one"),
        (lambda p, d: p.update(states=d.first["states"]), "is not in the log"),
        (lambda p, d: p.update(entries=d.first["entries"]), "was signed"),
        (lambda p, d: p.update(entries=d.first["entries"], checkpoints=d.first["checkpoints"]), "is not in the log"),
        (lambda p, _: _state(p, "record").update(model_path=None), "this is not a proof"),
        (lambda p, _: _state(p, "evaluation").update(model_path=None), "a verdict is missing"),
        (lambda p, _: _state(p, "record")["log_path"].pop(), "is not in the log"),
        (lambda p, _: _state(p, "record")["model_path"].pop(), "is not the newest one"),
        (lambda p, _: p["models_path"].pop(), "is not the newest one"),
        (lambda p, _: p["models_path"].append("left " + "00" * 32), "is not the newest one"),
        (lambda p, _: _drop_evaluations(p), "a verdict is missing"),
        (lambda p, _: _state(p, "evaluation").update(verdicts={}), "has other verdicts than the stored ones"),
        (lambda p, _: _state(p, "evaluation")["verdicts"].pop("day"), "has other verdicts than the stored ones"),
        (lambda p, _: _add_verdict(p), "has other verdicts than the stored ones"),
        (lambda p, _: with_cell(p, "owned", "rule_id", "named"), "has other verdicts than the stored ones"),
        (lambda p, _: with_cell(p, "owned", "verdict", "pass"), "has other verdicts than the stored ones"),
        (lambda p, _: with_cell(p, "described", "reason", "It is good."), "has other verdicts than the stored ones"),
        (lambda p, _: _state(p, "record").update(verdicts={"rule_id": "mine"}), "has other verdicts than the stored"),
        (lambda p, _: p["rules"]["owned"].update(requires="true"), "owned was decided on other inputs"),
        (lambda p, _: _entry(p, outcome="incomplete"), "not as it was when a checkpoint was signed"),
        (lambda p, _: p["entries"].append(p["entries"][0]), "does not follow the one before it"),
        (lambda p, d: p["entries"].extend(d.other_tenant["entries"]), "is another tenant's"),
        (lambda p, _: p.update(checkpoints=[]), "no signature vouches for this"),
        (lambda p, d: p.update(checkpoints=d.first["checkpoints"]), "is not here, or not as it was"),
        (lambda p, d: p.update(checkpoints=d.other_tenant["checkpoints"]), "has a checkpoint of the tenant 'globex'"),
        (lambda p, _: p["checkpoints"][0].update(signature="00" * 64), "its signature was made by another key"),
        (lambda p, _: _resigned(p, SigningKey.generate(), signed_at="2020-01-01"), "its signature was made by another"),
        (lambda p, d: _resigned(p, d.key, format="another statement"), "not as it was when a checkpoint was signed"),
        (
            lambda p, d: _resigned(p, d.key, tenant_id="globex"),
            "a checkpoint of the tenant 'globex', but this is about 'acme'",
        ),
        (_own_tree, "no signature vouches for this"),
    ],
)
def test_a_manipulated_proof_of_a_version_is_refused_with_a_reason(
    proofs: Proofs, tmp_path: Path, change: Change, sentence: str
) -> None:
    proof = copy.deepcopy(proofs.newest)
    change(proof, proofs)

    code, printed = run_script(proof, tmp_path / "p.json", "--public-key", proofs.public_key)

    assert code == 1, printed
    assert sentence in printed.splitlines()[-1]
    assert printed.splitlines()[-1].startswith("REFUSED: ")


def _renamed_tenant(proof: Any, proofs: Proofs) -> None:
    """Present another tenant's proof as acme's: change the name wherever this is possible without the key."""
    text = json.dumps(proofs.other_tenant["entries"]).replace("globex", "acme")
    proof.update(proofs.other_tenant, tenant="acme", entries=json.loads(text))


def test_a_proof_of_another_tenant_cannot_be_renamed(proofs: Proofs, tmp_path: Path) -> None:
    proof = copy.deepcopy(proofs.newest)
    _renamed_tenant(proof, proofs)

    code, printed = run_script(proof, tmp_path / "p.json", "--public-key", proofs.public_key)

    assert (code, "has a checkpoint of the tenant 'globex', but this is about 'acme'" in printed) == (1, True), printed


def _scalars(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each text and number in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if isinstance(item, dict | list):
            yield from _scalars(item, (*path, name))
        elif item is not None:
            yield (*path, name)


def _changed(document: Any, path: tuple[str | int, ...]) -> Any:
    """Return a document with another text or number at one place."""
    changed = copy.deepcopy(document)
    *parents, name = path
    holder = changed
    for parent in parents:
        holder = holder[parent]
    value = holder[name]
    if isinstance(value, str):
        # In a hash, one digit changes; in any other text, the last letter.
        holder[name] = value[:-1] + ("1" if value[-1:] == "0" else "0")
    else:
        holder[name] = value + 1
    return changed


@pytest.mark.parametrize("name", ["newest", "consistency"])
def test_no_text_and_no_number_of_a_proof_can_be_changed(proofs: Proofs, tmp_path: Path, name: str) -> None:
    document = getattr(proofs, name)
    places = [path for path in _scalars(document) if path != ("schema",)]

    accepted = [
        path
        for path in places
        if run_script(_changed(document, path), tmp_path / "p.json", "--public-key", proofs.public_key)[0] == 0
    ]

    assert len(places) > (40 if name == "newest" else 5)
    assert accepted == []


def test_a_later_trail_is_proved_to_extend_a_former_one(proofs: Proofs, tmp_path: Path) -> None:
    saved = tmp_path / "saved.jsonl"
    saved.write_text(json.dumps(proofs.first["checkpoints"][0]) + "\n")
    arguments = ("--public-key", proofs.public_key, "--checkpoint", saved)

    result = run_program(proofs.consistency, tmp_path / "p.json", *arguments, isolated=False)

    first, last = (json.loads(proofs.consistency["entries"][place]) for place in (0, -1))
    assert (result.returncode, result.stderr) == (0, "")
    assert f"Entries {first['sequence']} to {last['sequence']} are one chain." in result.stdout
    sizes = [entry["counts"]["states"]["size"] for entry in (first, last)]
    assert f"The log of {sizes[0]} states (entry {first['sequence']}) grew to {sizes[1]}" in result.stdout


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p, _: p["entries"].pop(1), "does not follow the one before it"),
        (lambda p, _: p["entries"].reverse(), "does not follow the one before it"),
        (lambda p, _: p["entries"].pop(), "is not here, or not as it was"),
        (lambda p, _: p.update(tenant="globex"), "is another tenant's"),
        (lambda p, _: p.update(log_path=p["log_path"][:-1]), "another log, not that of before"),
        (lambda p, _: p.update(log_node=None), "this is not a proof"),
        (lambda p, _: p.update(checkpoints=p["checkpoints"][:1]), "no signature vouches for this"),
    ],
)
def test_a_manipulated_proof_of_consistency_is_refused_with_a_reason(
    proofs: Proofs, tmp_path: Path, change: Change, sentence: str
) -> None:
    proof = copy.deepcopy(proofs.consistency)
    change(proof, proofs)

    code, printed = run_script(proof, tmp_path / "p.json", "--public-key", proofs.public_key)

    assert (code, sentence in printed.splitlines()[-1]) == (1, True), printed


def test_a_log_that_was_rewritten_and_committed_again_does_not_extend_the_former_one(
    proved: ProvedTenants, proofs: Proofs, tmp_path: Path
) -> None:
    """The owner of the database and of the key rewrites a state and the last entry: an auditor's proof shows it."""
    proof = copy.deepcopy(proofs.consistency)
    with proved.store.begin("acme") as session:
        leaves = [*state_log.leaf_hashes(session)]
        *_, head = committed_states.links_between(session, 1, 10**6)
    rewritten = LeafTree([hashlib.sha256(b"forged").digest(), *leaves[1:]])
    former_size = json.loads(proof["entries"][0])["counts"]["states"]["size"]
    entry = json.loads(head.text)
    entry["counts"]["states"]["root"] = rewritten.root.hex()
    proof["entries"][-1] = json.dumps(entry)
    growth = rewritten.growth_since(former_size)
    proof.update(log_node=growth.node, log_path=list(growth.path))
    forged = type(head)(head.sequence, proof["entries"][-1], hashlib.sha256(proof["entries"][-1].encode()).hexdigest())
    signed = sign_checkpoint("acme", forged, proofs.key, SECOND_SYNC)
    proof["checkpoints"] = [{"checkpoint": signed.text, "signature": signed.signature}]

    code, printed = run_script(proof, tmp_path / "p.json", "--public-key", proofs.public_key)

    assert (code, "another log, not that of before" in printed) == (1, True), printed
