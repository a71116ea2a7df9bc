"""Every kind of tampering is detected at the first invalid entry and named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifywise_mlflow.audit.chain import ChainLink, entry_hash, make_link
from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.keys import PublicKey, SigningKey
from verifywise_mlflow.audit.tampering import Damage, DamageKind
from verifywise_mlflow.audit.verification import AnchoredCheckpoint, verify_chain
from verifywise_mlflow_tests.support.audit_chains import (
    KEY,
    make_chain,
    make_chain_of_length,
    renumbered,
    signed_checkpoint,
)

CHAINS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=2, max_size=8).map(make_chain)


FEW_EXAMPLES = settings(max_examples=60)


def find_damage(
    links: Sequence[ChainLink],
    stored: Sequence[AnchoredCheckpoint] = (),
    external_checkpoints: Sequence[Checkpoint] = (),
    keys: Sequence[PublicKey] = (),
) -> tuple[DamageKind, int] | None:
    damage: Damage | None = verify_chain("acme", links, stored, external_checkpoints, keys).damage
    return (damage.kind, damage.sequence) if damage else None


def edit_entry(link: ChainLink, **fields: object) -> ChainLink:
    """Return an entry with changed fields and a matching hash."""
    text = json.dumps({**json.loads(link.text), **fields}, sort_keys=True, separators=(",", ":"))
    return ChainLink(link.sequence, text, entry_hash(text))


@FEW_EXAMPLES
@given(CHAINS)
def test_an_unmodified_chain_is_intact(links: list[ChainLink]) -> None:
    report = verify_chain(
        "acme",
        links,
        [signed_checkpoint(links[0]), signed_checkpoint(links[-1])],
        [signed_checkpoint(links[1]).checkpoint],
        [KEY.public],
    )

    assert (report.damage, report.entries, report.head) == (None, len(links), links[-1].hash)
    distinct = len({1, 2, len(links)})
    assert (report.checkpoints, report.vouched, report.signatures_judged) == (distinct, len(links), True)


@FEW_EXAMPLES
@given(CHAINS, st.data())
def test_an_edit_is_detected(links: list[ChainLink], data: st.DataObject) -> None:
    edited_position = data.draw(st.integers(1, len(links)))
    link = links[edited_position - 1]
    position = data.draw(st.integers(0, len(link.text) - 1))
    other = data.draw(
        st.characters(exclude_categories=["Cs"]).filter(lambda character: character != link.text[position])
    )

    links[edited_position - 1] = replace(link, text=link.text[:position] + other + link.text[position + 1 :])

    assert find_damage(links) == ("edit", edited_position)


@FEW_EXAMPLES
@given(CHAINS, st.data())
def test_an_edit_with_a_recomputed_hash_is_detected_by_the_next_entry(
    links: list[ChainLink], data: st.DataObject
) -> None:
    position = data.draw(st.integers(1, len(links) - 1))
    name, value = data.draw(
        st.sampled_from(
            [("reason", "none"), ("sequence", 99), ("tenant_id", "globex"), ("sequence", "1"), ("previous_hash", None)]
            + ([("previous_hash", "0" * 64)] if position > 1 else [])
        )
    )

    links[position - 1] = edit_entry(links[position - 1], **{name: value})

    assert find_damage(links) == ("edit", position)


@FEW_EXAMPLES
@given(CHAINS, st.data(), st.booleans())
def test_a_deletion_is_detected(links: list[ChainLink], data: st.DataObject, closed: bool) -> None:
    first = data.draw(st.integers(1, len(links) - 1))
    last = data.draw(st.integers(first, len(links) - 1))

    del links[first - 1 : last]

    assert find_damage(renumbered(links) if closed else links) == ("gap", first)


@FEW_EXAMPLES
@given(CHAINS, st.data())
def test_a_swap_is_detected(links: list[ChainLink], data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(links) - 1))
    other = data.draw(st.integers(first + 1, len(links)))

    links[first - 1], links[other - 1] = links[other - 1], links[first - 1]

    assert find_damage(renumbered(links)) == ("reorder", first)


@FEW_EXAMPLES
@given(CHAINS, st.data(), st.booleans())
def test_an_insertion_is_detected(links: list[ChainLink], data: st.DataObject, fits: bool) -> None:
    position = data.draw(st.integers(2, len(links)))
    forged = make_link({"tenant_id": "acme", "kind": "x", "reason": "never was"}, links[position - 2])
    if not fits:
        forged = edit_entry(forged, previous_hash="0" * 64)

    links.insert(position - 1, forged)

    assert find_damage(renumbered(links)) == ("insertion", position)


@FEW_EXAMPLES
@given(CHAINS, st.data())
def test_a_duplicate_entry_is_detected(links: list[ChainLink], data: st.DataObject) -> None:
    source = data.draw(st.integers(1, len(links)))
    position = data.draw(st.integers(source + 1, len(links) + 1))

    links.insert(position - 1, links[source - 1])

    assert find_damage(renumbered(links)) == ("insertion", position)


@FEW_EXAMPLES
@given(CHAINS, st.data(), st.booleans())
def test_a_truncation_is_detected_by_a_checkpoint(
    links: list[ChainLink], data: st.DataObject, is_from_another_trail: bool
) -> None:
    remaining = data.draw(st.integers(0, len(links) - 1))
    checkpoint = signed_checkpoint(links[-1])
    stored, external = ([], [checkpoint.checkpoint]) if is_from_another_trail else ([checkpoint], [])

    assert find_damage(links[:remaining], stored, external, [KEY.public]) == ("truncation", remaining + 1)
    assert find_damage(links[:remaining]) is None, "which nothing within the chain could show"


@FEW_EXAMPLES
@given(CHAINS, st.data())
def test_a_rebuilt_chain_is_detected_by_a_checkpoint(links: list[ChainLink], data: st.DataObject) -> None:
    position = data.draw(st.integers(1, len(links)))
    rebuilt = links[: position - 1]
    for link in links[position - 1 :]:
        fields = {**json.loads(link.text), "reason": "another"}
        rebuilt.append(make_link(fields, rebuilt[-1] if rebuilt else None))
    if rebuilt[-1] == links[-1]:
        return

    assert find_damage(rebuilt) is None, "which nothing within the chain could show"
    assert find_damage(rebuilt, [signed_checkpoint(links[-1])], (), [KEY.public]) == ("rewrite", len(links))


def test_an_edit_of_a_signed_entry_is_attributed_to_that_entry() -> None:
    links = make_chain_of_length(4)
    checkpoint = signed_checkpoint(links[1])
    edited = [links[0], edit_entry(links[1], reason="none"), *links[2:]]

    assert find_damage(edited, [checkpoint]) == ("edit", 2)

    relinked = [*links[:2], edit_entry(links[2], previous_hash="0" * 64)]
    assert find_damage(relinked, [checkpoint], (), [KEY.public]) == ("edit", 3)


def test_an_expected_but_empty_trail_is_truncated() -> None:
    assert verify_chain("acme", [], [], is_expected=True).damage == Damage(
        "truncation", 1, "the chain has no entries, but entries must have been written"
    )
    assert verify_chain("acme", [], []).damage is None


@pytest.mark.parametrize(
    ("forge", "sentence"),
    [
        (
            lambda link: AnchoredCheckpoint(2, replace(signed_checkpoint(link).checkpoint, signature="00" * 64)),
            "not made by the key that it names",
        ),
        (
            lambda link: AnchoredCheckpoint(2, replace(signed_checkpoint(link).checkpoint, signature="nonsense")),
            "not made by the key that it names",
        ),
        (lambda _: AnchoredCheckpoint(2, Checkpoint("[]", "")), "not an object in JSON"),
        (lambda _: AnchoredCheckpoint(2, Checkpoint("{", "")), "it is not JSON"),
        (lambda _: AnchoredCheckpoint(2, Checkpoint("{}", "")), "not a statement about a chain"),
        (lambda link: signed_checkpoint(link, tenant_id="globex"), "signs entry 2 of 'globex'"),
        (lambda link: AnchoredCheckpoint(1, signed_checkpoint(link).checkpoint), "signs entry 2 of 'acme'"),
    ],
)
def test_a_forged_checkpoint_is_detected(forge: object, sentence: str) -> None:
    assert callable(forge)
    links = make_chain_of_length(3)

    damage = verify_chain("acme", links, [forge(links[1])], keys=[KEY.public]).damage

    assert damage is not None
    assert damage.kind == "forged checkpoint"
    assert sentence in damage.sentence


def test_a_checkpoint_of_an_unknown_key_is_not_reported_as_forged() -> None:
    links = make_chain_of_length(3)

    damage = verify_chain("acme", links, [signed_checkpoint(links[1], SigningKey.generate())], keys=[KEY.public]).damage

    assert damage is not None
    assert (damage.kind, damage.sequence) == ("unknown key", 2)
    assert "which was not supplied, and for which no supplied key vouches" in damage.sentence


def test_without_a_public_key_checkpoints_are_compared_but_not_verified() -> None:
    links = make_chain_of_length(3)

    report = verify_chain("acme", links, [signed_checkpoint(links[1], SigningKey.generate())])

    assert (report.damage, report.checkpoints, report.signatures_judged) == (None, 1, False)
    assert find_damage(links[:1], [signed_checkpoint(links[1], SigningKey.generate())]) == ("truncation", 2)


def test_only_valid_entries_are_counted() -> None:
    links = make_chain_of_length(5)
    del links[3]

    report = verify_chain("acme", links, [])

    assert (report.entries, report.head) == (3, links[2].hash)
