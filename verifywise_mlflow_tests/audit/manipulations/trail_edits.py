"""Manipulations of the entries and checkpoints of a trail, in the database and in an export."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from verifywise_mlflow.audit.chain import ChainLink, entry_hash, make_link
from verifywise_mlflow.audit.checkpoint import Checkpoint, sign_checkpoint
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.verification import AnchoredCheckpoint
from verifywise_mlflow.common.canonical_json import canonical_json

STRANGER: Final = SigningKey.generate()
"""A key that is not the auditor's."""
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Trail:
    """A tenant's entries and checkpoints."""

    tenant_id: str
    links: Sequence[ChainLink]
    checkpoints: Sequence[AnchoredCheckpoint]

    def up_to(self, sequence: int) -> Trail:
        """Return the beginning of the trail."""
        kept = [anchored for anchored in self.checkpoints if anchored.sequence <= sequence]
        return Trail(self.tenant_id, self.links[:sequence], kept)

    def rebuilt(self, changes: Mapping[int, Mapping[str, object]]) -> Trail:
        """Return the trail with other fields in some entries, and with all hashes computed again."""
        links: list[ChainLink] = []
        for link in self.links:
            fields = {**json.loads(link.text), **changes.get(link.sequence, {})}
            links.append(make_link(fields, links[-1] if links else None))
        return replace(self, links=links)

    def signed_again(self, key: SigningKey) -> Trail:
        """Return the trail with checkpoints of another key over the same entries."""
        signed = [
            AnchoredCheckpoint(
                anchored.sequence,
                sign_checkpoint(self.tenant_id, self.links[anchored.sequence - 1], key, NOW),
            )
            for anchored in self.checkpoints
        ]
        return replace(self, checkpoints=signed)


TrailEdit = Callable[[Trail, Trail], Trail]
"""Returns a manipulated trail. The second argument is the trail of another tenant."""


@dataclass(frozen=True, slots=True)
class TrailManipulation:
    """A manipulation of a trail, and the checks that must detect it in the database and in an export."""

    what: str
    edit: TrailEdit
    found: str
    """The result of ``audit verify`` with a key and a saved checkpoint: a kind of damage, or the outcome."""
    alone: str
    """The result with the key alone."""
    is_wrong_file: bool = False
    """Whether an export of the trail is a file of another tenant, which the script reports as a wrong file."""


TRAIL_MANIPULATIONS: Final[list[TrailManipulation]] = []

EDITED: Final = 20
"""The entry that is changed: there are checkpoints before and after it."""


def _manipulation(
    what: str, *, found: str, alone: str = "", is_wrong_file: bool = False
) -> Callable[[TrailEdit], TrailEdit]:
    def register(edit: TrailEdit) -> TrailEdit:
        TRAIL_MANIPULATIONS.append(TrailManipulation(what, edit, found, alone or found, is_wrong_file))
        return edit

    return register


@_manipulation("an entry is edited", found="edit")
def edit_entry(trail: Trail, _: Trail) -> Trail:
    return _with_link(trail, EDITED, lambda link: ChainLink(link.sequence, _forged_text(link), link.hash))


@_manipulation("an entry is edited, and its hash is computed again", found="edit")
def edit_entry_with_its_hash(trail: Trail, _: Trail) -> Trail:
    return _with_link(
        trail, EDITED, lambda link: ChainLink(link.sequence, _forged_text(link), entry_hash(_forged_text(link)))
    )


@_manipulation("the last entry is edited, and its hash is computed again", found="rewrite")
def edit_last_entry_with_its_hash(trail: Trail, _: Trail) -> Trail:
    last = len(trail.links)
    return _with_link(
        trail, last, lambda link: ChainLink(link.sequence, _forged_text(link), entry_hash(_forged_text(link)))
    )


@_manipulation("an entry is removed", found="gap")
def remove_entry(trail: Trail, _: Trail) -> Trail:
    return replace(trail, links=[link for link in trail.links if link.sequence != EDITED])


@_manipulation("an entry is removed, and the following ones are numbered again", found="gap")
def remove_entry_and_renumber_rows(trail: Trail, other: Trail) -> Trail:
    return replace(trail, links=_renumbered(remove_entry(trail, other).links))


@_manipulation("the first entry is removed", found="gap")
def remove_first_entry(trail: Trail, _: Trail) -> Trail:
    return replace(trail, links=trail.links[1:])


@_manipulation("an entry is inserted", found="insertion")
def insert_entry(trail: Trail, _: Trail) -> Trail:
    before = trail.links[EDITED - 2]
    invented = make_link({**json.loads(before.text), "reason": "invented"}, before)
    return replace(trail, links=_renumbered([*trail.links[: EDITED - 1], invented, *trail.links[EDITED - 1 :]]))


@_manipulation("two entries are exchanged", found="reorder")
def exchange_entries(trail: Trail, _: Trail) -> Trail:
    links = [*trail.links]
    links[EDITED - 1], links[EDITED] = links[EDITED], links[EDITED - 1]
    return replace(trail, links=_renumbered(links))


@_manipulation("an entry is edited, and the chain is computed again from there", found="rewrite")
def rebuild_chain(trail: Trail, _: Trail) -> Trail:
    return trail.rebuilt({EDITED: {"reason": "forged"}})


@_manipulation("the same, and all checkpoints are removed", found="rewrite", alone="unsigned")
def rebuild_chain_without_checkpoints(trail: Trail, other: Trail) -> Trail:
    return replace(rebuild_chain(trail, other), checkpoints=[])


@_manipulation("the same, and only the later checkpoints are removed", found="rewrite", alone="unproved")
def rebuild_chain_and_remove_later_checkpoints(trail: Trail, other: Trail) -> Trail:
    return replace(rebuild_chain(trail, other), checkpoints=trail.up_to(EDITED - 1).checkpoints)


@_manipulation("the same, and all checkpoints are signed again with another key", found="unknown key")
def rebuild_chain_and_sign_it_with_another_key(trail: Trail, other: Trail) -> Trail:
    return rebuild_chain(trail, other).signed_again(STRANGER)


@_manipulation("the last entries are cut off", found="truncation")
def cut_off_last_entries(trail: Trail, _: Trail) -> Trail:
    return replace(trail, links=trail.links[:-2])


@_manipulation("the trail is cut off right after a checkpoint", found="truncation", alone="unproved")
def cut_off_at_checkpoint(trail: Trail, _: Trail) -> Trail:
    return trail.up_to(trail.checkpoints[-2].sequence)


@_manipulation(
    "the trail is cut off right after a checkpoint, and continued otherwise", found="truncation", alone="unproved"
)
def cut_off_at_checkpoint_and_continue(trail: Trail, other: Trail) -> Trail:
    beginning = cut_off_at_checkpoint(trail, other)
    invented = make_link({**json.loads(trail.links[-1].text), "reason": "invented"}, beginning.links[-1])
    return replace(beginning, links=[*beginning.links, invented])


@_manipulation("all entries and checkpoints are removed", found="truncation")
def remove_all_entries(trail: Trail, _: Trail) -> Trail:
    return replace(trail, links=[], checkpoints=[])


@_manipulation("all checkpoints are removed", found="intact", alone="unsigned")
def remove_checkpoints(trail: Trail, _: Trail) -> Trail:
    return replace(trail, checkpoints=[])


@_manipulation("the trail of another tenant takes its place", found="edit", is_wrong_file=True)
def take_trail_of_another_tenant(trail: Trail, other: Trail) -> Trail:
    return replace(other, tenant_id=trail.tenant_id)


@_manipulation("the trail of another tenant takes its place under its name", found="forged checkpoint")
def rename_trail_of_another_tenant(trail: Trail, other: Trail) -> Trail:
    changes = {link.sequence: {"tenant_id": trail.tenant_id} for link in other.links}
    return replace(other.rebuilt(changes), tenant_id=trail.tenant_id)


@_manipulation("the checkpoint of another tenant takes the place of the last one", found="forged checkpoint")
def take_checkpoint_of_another_tenant(trail: Trail, other: Trail) -> Trail:
    return _with_last_checkpoint(trail, lambda _: other.checkpoints[-1].checkpoint)


@_manipulation("another key signs the last checkpoint", found="unknown key")
def sign_last_checkpoint_with_another_key(trail: Trail, _: Trail) -> Trail:
    return _with_last_checkpoint(trail, lambda _: sign_checkpoint(trail.tenant_id, trail.links[-1], STRANGER, NOW))


@_manipulation("another key signs the last checkpoint in the name of the right one", found="forged checkpoint")
def sign_with_another_key_in_the_name_of_ours(trail: Trail, _: Trail) -> Trail:
    def forge(checkpoint: Checkpoint) -> Checkpoint:
        return Checkpoint(checkpoint.text, STRANGER.sign(checkpoint.text.encode()).hex())

    return _with_last_checkpoint(trail, forge)


@_manipulation("the time of a checkpoint is changed", found="forged checkpoint")
def date_checkpoint_back(trail: Trail, _: Trail) -> Trail:
    def forge(checkpoint: Checkpoint) -> Checkpoint:
        return Checkpoint(
            canonical_json({**json.loads(checkpoint.text), "signed_at": "2020-01-01T00:00:00+00:00"}),
            checkpoint.signature,
        )

    return _with_last_checkpoint(trail, forge)


@_manipulation("a checkpoint is moved to another entry", found="forged checkpoint")
def move_checkpoint_to_another_entry(trail: Trail, _: Trail) -> Trail:
    last = trail.checkpoints[-1]
    return replace(trail, checkpoints=[*trail.checkpoints[:-1], replace(last, sequence=last.sequence - 1)])


@_manipulation("the signature of a checkpoint is damaged", found="forged checkpoint")
def damage_signature(trail: Trail, _: Trail) -> Trail:
    return _with_last_checkpoint(trail, lambda checkpoint: Checkpoint(checkpoint.text, "00" * 64))


@_manipulation("a checkpoint is made to vouch for another key", found="forged checkpoint")
def name_another_key_as_next(trail: Trail, _: Trail) -> Trail:
    def forge(checkpoint: Checkpoint) -> Checkpoint:
        claim = {**json.loads(checkpoint.text), "next_key": STRANGER.public.pem()}
        return Checkpoint(canonical_json(claim), checkpoint.signature)

    return _with_last_checkpoint(trail, forge)


def _with_link(trail: Trail, sequence: int, change: Callable[[ChainLink], ChainLink]) -> Trail:
    return replace(trail, links=[change(link) if link.sequence == sequence else link for link in trail.links])


def _with_last_checkpoint(trail: Trail, change: Callable[[Checkpoint], Checkpoint]) -> Trail:
    *others, last = trail.checkpoints
    return replace(trail, checkpoints=[*others, replace(last, checkpoint=change(last.checkpoint))])


def _forged_text(link: ChainLink) -> str:
    return canonical_json({**json.loads(link.text), "reason": "forged"})


def _renumbered(links: Sequence[ChainLink]) -> Sequence[ChainLink]:
    return [*_numbered(links)]


def _numbered(links: Sequence[ChainLink]) -> Iterator[ChainLink]:
    for sequence, link in enumerate(links, 1):
        yield ChainLink(sequence, link.text, link.hash)
