"""Proofs about the log of states.

They prove that an entry of the audit trail commits a state, that the state was the newest state, and that a later log
extends a former log.

A proof has the texts that were hashed and the paths from their hashes to the two roots in the entry. A verifier needs
nothing else. ``documents/pack/verify_proof.py`` is such a verifier, and shares no code with this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

from verifywise_mlflow.audit.accepted_states import ACCEPTED, AcceptedRange, parse_accepted
from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.entry import STATES
from verifywise_mlflow.audit.leaf_tree import Growth, LeafTree, Path
from verifywise_mlflow.audit.merkle import leaf_hash, root_of
from verifywise_mlflow.audit.state_leaf import model_leaf
from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.value_object import value_object

Texts: TypeAlias = tuple[str, ...]


class UnprovableError(ValueError):
    """The rows do not lead to the roots in the trail, or there is nothing to prove. The message states the case."""


@value_object
class ProvedState:
    """A state with its paths to the roots in the entry."""

    __pydantic_config__ = DESCRIBED

    leaf: str
    """The text of its leaf in the log: JSON with the SHA-256 of the content, the kind, the version and the time."""
    content: str
    """The text of the state: JSON with the stored text of each column; for verdicts, the SHA-256 of each column."""
    verdicts: Mapping[str, str]
    """The columns of the verdicts that began with an evaluation, each as one text; empty for other states."""
    log_path: Texts
    """From the leaf to the root of the log: for each step the sibling's side and hash."""
    model_path: Texts | None
    """From the leaf to the root of the newest states of its model; null if a newer state has replaced this state."""


@dataclass(frozen=True, slots=True)
class VersionProof:
    """Proves which states of a version were the newest at an entry, with the entries up to the signed entry."""

    tenant: str
    """The tenant in the form that Postgres stores, like the model's name, since the leaves contain this form."""
    model_name: str
    version_number: int
    states: Sequence[ProvedState]
    models_path: Path
    verdicts: Mapping[str, Mapping[str, str]]
    """The columns of the verdict in force, by rule."""
    rules: Mapping[str, Mapping[str, object]]
    """The parts of each rule that decided its verdict, by rule, for verdicts whose inputs can be hashed again."""
    entries: Texts
    """The texts of the entries, from the entry that commits the states to the signed entry."""
    checkpoints: Sequence[Checkpoint]


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """Proves that a later trail and the log that it commits extend a former trail and log."""

    tenant: str
    entries: Texts
    """The entries from the last commitment at or before the former entry up to the later entry. Without such a
    commitment, they begin with the former entry."""
    growth: Growth | None
    """The growth of the log from the first to the last commitment in these entries; None if they have no commitment."""
    checkpoints: Sequence[Checkpoint]


@dataclass(frozen=True, slots=True)
class Commitment:
    """The statement of an entry about the log of states."""

    size: int
    root: str
    current: str
    """The root of the tree over the newest states of all models."""
    accepted: Sequence[AcceptedRange] = ()
    """Ranges of states that no sync committed and that a person accepted."""

    @classmethod
    def of_entry(cls, text: str) -> Commitment | None:
        """Return the commitment in the text of an entry; None if the entry has none, or lacks one of its roots.

        Raises:
            ValueError: the text is not JSON, or its accepted states are malformed.
        """
        entry: object = json.loads(text)
        counts = entry.get("counts") if isinstance(entry, dict) else None
        match counts.get(STATES) if isinstance(counts, dict) else None:
            case {"size": int(size), "root": str(root), "current": str(current), **others}:
                return cls(size, root, current, parse_accepted(others.get(ACCEPTED)))
            case _:
                return None


class CommittedStates:
    """The trees that one entry commits, with all their nodes."""

    def __init__(self, log: Iterable[bytes], newest: Iterable[tuple[str, bytes]]) -> None:
        """Compute the nodes.

        Args:
            log: the hashes of the leaves, in the order of their positions.
            newest: pairs of a model's name and the hash of one of its newest states, in the order of the leaves of the
                models' trees.
        """
        self._log = LeafTree(log)
        self._models = {
            name: b"".join(leaf for _, leaf in leaves) for name, leaves in groupby(newest, key=itemgetter(0))
        }
        self._places = {name: place for place, name in enumerate(self._models)}
        self._all_models = LeafTree(model_leaf(name, root_of(_split(leaves))) for name, leaves in self._models.items())

    def require(self, commitment: Commitment) -> None:
        """Raise unless these are the trees of a commitment.

        Raises:
            UnprovableError: the trees have other roots.
        """
        if (self._log.size, self._log.root.hex()) != (commitment.size, commitment.root):
            raise UnprovableError("the log of states is not the one that the audit trail commits")
        if self._all_models.root.hex() != commitment.current:
            raise UnprovableError("the newest states in the log are not those that the audit trail commits")

    def prove(self, model_name: str, states: Sequence[tuple[int, str, str, Mapping[str, str]]]) -> list[ProvedState]:
        """Return states of a model with their paths.

        Args:
            model_name: the model.
            states: for each state, its position in the log, the text of its leaf, the text of its content, and its
                columns of verdicts.

        Raises:
            KeyError: the model has no states.
            IndexError: the log has no state at a position.
        """
        newest = [*_split(self._models[model_name])]
        tree, places = LeafTree(newest), {leaf: place for place, leaf in enumerate(newest)}
        proved = []
        for position, leaf, content, verdicts in states:
            place = places.get(leaf_hash(leaf.encode()))
            model_path = None if place is None else tree.path(place)
            proved.append(ProvedState(leaf, content, verdicts, self._log.path(position), model_path))
        return proved

    def models_path(self, model_name: str) -> Path:
        """Return the path from a model to the root over all models.

        Raises:
            KeyError: the model has no states.
        """
        return self._all_models.path(self._places[model_name])


def _split(leaves: bytes) -> Iterable[bytes]:
    return (leaves[place : place + 32] for place in range(0, len(leaves), 32))
