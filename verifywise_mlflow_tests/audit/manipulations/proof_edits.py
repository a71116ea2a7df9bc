"""Manipulations of a proof that ``audit prove`` wrote and an auditor received."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.state_leaf import content_text
from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.persistence.state_contents import CELL_SEPARATOR
from verifywise_mlflow_tests.audit.manipulations.trail_edits import STRANGER

Proof = dict[str, Any]
"""A proof, as JSON in the form of the file."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """The genuine proofs that a forger has."""

    current: Proof
    """The proof of version 1 of ``credit`` after the last sync."""
    former: Proof
    """The proof of the same version after the first sync."""
    other_version: Proof
    other_tenant: Proof
    growth: Proof
    """The proof that the trail extends its own part up to the first checkpoint."""


ProofEdit = Callable[[Proofs], Proof]


@dataclass(frozen=True, slots=True)
class ProofManipulation:
    """A manipulation of a proof, and the reason why ``tools/verify_proof.py`` refuses it with the auditor's key."""

    what: str
    edit: ProofEdit
    says: str
    has_saved_checkpoint: bool
    """Whether the auditor has a checkpoint, too."""
    exit_code: int


PROOF_MANIPULATIONS: Final[list[ProofManipulation]] = []


def _manipulation(
    what: str, *, says: str, has_saved_checkpoint: bool = True, exit_code: int = 1
) -> Callable[[ProofEdit], ProofEdit]:
    def register(edit: ProofEdit) -> ProofEdit:
        PROOF_MANIPULATIONS.append(ProofManipulation(what, edit, says, has_saved_checkpoint, exit_code))
        return edit

    return register


@_manipulation("the owner in the record is replaced", says="has another text than the stored one")
def replace_owner(proofs: Proofs) -> Proof:
    return _with_content(proofs.current, "record", {"owner": "Mallory"})


@_manipulation("the owner is replaced, and the hash in the leaf", says="is not in the log")
def replace_owner_and_hash_in_leaf(proofs: Proofs) -> Proof:
    proof = replace_owner(proofs)
    state = _state(proof, "record")
    leaf = {**json.loads(state["leaf"]), "content": hashlib.sha256(state["content"].encode()).hexdigest()}
    state["leaf"] = content_text(leaf)
    return proof


@_manipulation("a verdict is turned into a pass", says="has other verdicts than the stored ones")
def replace_verdict(proofs: Proofs) -> Proof:
    return with_cell(deepcopy(proofs.current), "safe-serialization", "verdict", "pass")


@_manipulation("a verdict is replaced by a former one", says="has other verdicts than the stored ones")
def take_former_verdict(proofs: Proofs) -> Proof:
    former = cells_of(proofs.former, "artifact-integrity")
    proof = deepcopy(proofs.current)
    for name, cell in former.items():
        proof = with_cell(proof, "artifact-integrity", name, cell)
    return proof


@_manipulation("the newest verdicts are left out", says="has other verdicts than the stored ones")
def remove_verdicts(proofs: Proofs) -> Proof:
    proof = deepcopy(proofs.current)
    _state(proof, "evaluation")["verdicts"] = {}
    return proof


@_manipulation("the evaluation that gave the other verdicts is left out", says="a verdict is missing")
def remove_former_evaluation(proofs: Proofs) -> Proof:
    proof = deepcopy(proofs.current)
    proof["states"] = [state for state in proof["states"] if state["model_path"] is not None]
    return proof


@_manipulation("the badge is replaced", says="has another text than the stored one")
def replace_badge(proofs: Proofs) -> Proof:
    return _with_content(proofs.current, "evaluation", {"badge": "passing"})


@_manipulation("the text of a rule is replaced", says="owner")
def replace_rule(proofs: Proofs) -> Proof:
    proof = deepcopy(proofs.current)
    proof["rules"]["owner"]["requires"] = "true"
    return proof


@_manipulation("the states of another version are shown", says="is another version's")
def take_states_of_another_version(proofs: Proofs) -> Proof:
    return _with_parts(proofs.current, proofs.other_version, "states")


@_manipulation("the proof of another version is renamed", says="is another version's")
def rename_version(proofs: Proofs) -> Proof:
    return {**proofs.other_version, "version_number": 1}


@_manipulation("a former record is shown as the newest one", says="is not in the log")
def take_former_states(proofs: Proofs) -> Proof:
    proof = deepcopy(proofs.current)
    former = _state(deepcopy(proofs.former), "record")
    record = _state(proof, "record")
    record.update(leaf=former["leaf"], content=former["content"])
    return proof


@_manipulation("former states are shown as the newest ones, with their paths", says="is not in the log")
def take_former_states_with_their_paths(proofs: Proofs) -> Proof:
    return _with_parts(proofs.current, proofs.former, "states", "models_path")


@_manipulation("a former proof is shown as if it were of today", says="is not in this file", exit_code=4)
def take_former_proof(proofs: Proofs) -> Proof:
    return proofs.former


@_manipulation("a step of a path is replaced", says="is not in the log")
def replace_step_of_path(proofs: Proofs) -> Proof:
    proof = deepcopy(proofs.current)
    _state(proof, "record")["log_path"][0] = f"left {'0' * 64}"
    return proof


@_manipulation("a step of a path is left out", says="is not the newest one")
def remove_step_of_path(proofs: Proofs) -> Proof:
    proof = deepcopy(proofs.current)
    del _state(proof, "record")["model_path"][0]
    return proof


@_manipulation("the root in the entry is replaced", says="not as it was when a checkpoint was signed")
def replace_root(proofs: Proofs) -> Proof:
    return _with_other_root(proofs.current)


@_manipulation("the entries and the checkpoint are former ones", says="is not in the log")
def take_entries_of_before(proofs: Proofs) -> Proof:
    return _with_parts(proofs.current, proofs.former, "entries", "checkpoints")


@_manipulation("the proof of another tenant is shown", says="of the tenant 'acme', but this must be", exit_code=2)
def take_proof_of_another_tenant(proofs: Proofs) -> Proof:
    return proofs.other_tenant


@_manipulation("the proof of another tenant is renamed", says="is another tenant's")
def rename_tenant(proofs: Proofs) -> Proof:
    return {**proofs.other_tenant, "tenant": "acme"}


@_manipulation("the checkpoint of another tenant is shown", says="has a checkpoint of the tenant 'globex'")
def take_checkpoint_of_another_tenant(proofs: Proofs) -> Proof:
    return _with_parts(proofs.current, proofs.other_tenant, "checkpoints")


@_manipulation("a former checkpoint is shown", says="is not here")
def take_former_checkpoint(proofs: Proofs) -> Proof:
    return _with_parts(proofs.current, proofs.former, "checkpoints")


@_manipulation(
    "the checkpoint is left out, and the auditor has none",
    says="no signature vouches for this",
    has_saved_checkpoint=False,
)
def remove_checkpoints(proofs: Proofs) -> Proof:
    return {**proofs.current, "checkpoints": []}


@_manipulation(
    "another key signs the checkpoint in the name of the right one", says="its signature was made by another key"
)
def sign_with_another_key(proofs: Proofs) -> Proof:
    proof = deepcopy(proofs.current)
    text = proof["checkpoints"][-1]["checkpoint"]
    proof["checkpoints"] = [json.loads(Checkpoint(text, STRANGER.sign(text.encode()).hex()).to_json_line())]
    return proof


@_manipulation("the time of the checkpoint is changed", says="its signature was made by another key")
def date_checkpoint_back(proofs: Proofs) -> Proof:
    proof = deepcopy(proofs.current)
    checkpoint = proof["checkpoints"][-1]
    claim = {**json.loads(checkpoint["checkpoint"]), "signed_at": "2020-01-01T00:00:00+00:00"}
    checkpoint["checkpoint"] = canonical_json(claim)
    return proof


@_manipulation("the former root in a proof of growth is replaced", says="does not follow the one before it")
def replace_former_root_of_growth(proofs: Proofs) -> Proof:
    return _with_other_root(proofs.growth)


@_manipulation("an entry in a proof of growth is left out", says="does not follow the one before it")
def remove_entry_of_growth(proofs: Proofs) -> Proof:
    entries = proofs.growth["entries"]
    return {**proofs.growth, "entries": [*entries[:2], *entries[3:]]}


@_manipulation("the common node in a proof of growth is replaced", says="has another log")
def replace_node_of_growth(proofs: Proofs) -> Proof:
    return {**proofs.growth, "log_node": "0" * 64}


def _state(proof: Proof, kind: str) -> dict[str, Any]:
    """Return the newest state of a kind."""
    (state,) = (
        state
        for state in proof["states"]
        if json.loads(state["leaf"])["kind"] == kind and state["model_path"] is not None
    )
    return state  # type: ignore[no-any-return]  # parsed JSON


def _with_other_root(proof: Proof) -> Proof:
    """Return a proof whose first entry commits to another log."""
    entry = json.loads(proof["entries"][0])
    entry["counts"]["states"]["root"] = "0" * 64
    return {**proof, "entries": [canonical_json(entry), *proof["entries"][1:]]}


def _with_parts(proof: Proof, other: Proof, *names: str) -> Proof:
    """Return a proof with parts of another proof."""
    return {**proof, **{name: other[name] for name in names}}


def _with_content(proof: Proof, kind: str, change: Mapping[str, str]) -> Proof:
    changed = deepcopy(proof)
    state = _state(changed, kind)
    state["content"] = content_text({**json.loads(state["content"]), **change})
    return changed


def cells_of(proof: Proof, rule_id: str) -> dict[str, str]:
    """Return the cells of a rule's verdict from the last evaluation in the proof that has a verdict of the rule."""
    columns, place = _columns_with(proof, rule_id)
    return {name: column.split(CELL_SEPARATOR)[place] for name, column in columns.items()}


def with_cell(proof: Proof, rule_id: str, name: str, cell: str) -> Proof:
    """Return the proof, changed in place, with another cell in that verdict."""
    columns, place = _columns_with(proof, rule_id)
    cells = columns[name].split(CELL_SEPARATOR)
    columns[name] = CELL_SEPARATOR.join([*cells[:place], cell, *cells[place + 1 :]])
    return proof


def _columns_with(proof: Proof, rule_id: str) -> tuple[dict[str, str], int]:
    """Return the columns of an evaluation's verdicts, and the place of the rule in them."""
    for state in reversed(proof["states"]):
        rule_ids = state["verdicts"].get("rule_id", "").split(CELL_SEPARATOR)
        if rule_id in rule_ids:
            return state["verdicts"], rule_ids.index(rule_id)
    raise LookupError(f"the proof has no verdict of {rule_id}")
