"""Whatever is done to a chain is found at the first bad entry, and named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifywise_mlflow.audit.chain import Link, entry_hash, linked
from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.keys import PublicKey, SigningKey
from verifywise_mlflow.audit.tampering import Damage, DamageKind
from verifywise_mlflow.audit.verification import Placed, verify
from verifywise_mlflow_tests.audit.chains import KEY, chain, chain_of, renumbered, signed

CHAINS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=2, max_size=8).map(chain)


QUICKLY = settings(max_examples=60, deadline=None)


def damage(
    links: Sequence[Link],
    stored: Sequence[Placed] = (),
    kept_elsewhere: Sequence[Checkpoint] = (),
    keys: Sequence[PublicKey] = (),
) -> tuple[DamageKind, int] | None:
    found: Damage | None = verify("acme", links, stored, kept_elsewhere, keys).damage
    return (found.kind, found.sequence) if found else None


def rewritten(link: Link, **told: object) -> Link:
    """An entry that tells something else, with a hash that is right for it."""
    text = json.dumps({**json.loads(link.text), **told}, sort_keys=True, separators=(",", ":"))
    return Link(link.sequence, text, entry_hash(text))


@QUICKLY
@given(CHAINS)
def test_a_chain_that_nobody_touched_is_whole(links: list[Link]) -> None:
    report = verify("acme", links, [signed(links[0]), signed(links[-1])], [signed(links[1]).checkpoint], [KEY.public])

    assert (report.damage, report.entries, report.head) == (None, len(links), links[-1].hash)
    assert (report.checkpoints, report.vouched, report.signatures_judged) == (3, len(links), True)


@QUICKLY
@given(CHAINS, st.data())
def test_an_edit_is_found(links: list[Link], data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(links)))
    link = links[place - 1]
    position = data.draw(st.integers(0, len(link.text) - 1))
    other = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda one: one != link.text[position]))

    links[place - 1] = replace(link, text=link.text[:position] + other + link.text[position + 1 :])

    assert damage(links) == ("edit", place)


@QUICKLY
@given(CHAINS, st.data())
def test_an_edit_with_a_hash_made_to_fit_is_found_by_what_follows(links: list[Link], data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(links) - 1))
    name, value = data.draw(
        st.sampled_from(
            [("reason", "none"), ("sequence", 99), ("tenant_id", "globex"), ("sequence", "1"), ("previous_hash", None)]
            + ([("previous_hash", "0" * 64)] if place > 1 else [])
        )
    )

    links[place - 1] = rewritten(links[place - 1], **{name: value})

    assert damage(links) == ("edit", place)


@QUICKLY
@given(CHAINS, st.data(), st.booleans())
def test_a_deletion_is_found(links: list[Link], data: st.DataObject, closed: bool) -> None:
    first = data.draw(st.integers(1, len(links) - 1))
    last = data.draw(st.integers(first, len(links) - 1))

    del links[first - 1 : last]

    assert damage(renumbered(links) if closed else links) == ("gap", first)


@QUICKLY
@given(CHAINS, st.data())
def test_a_swap_is_found(links: list[Link], data: st.DataObject) -> None:
    one = data.draw(st.integers(1, len(links) - 1))
    other = data.draw(st.integers(one + 1, len(links)))

    links[one - 1], links[other - 1] = links[other - 1], links[one - 1]

    assert damage(renumbered(links)) == ("reorder", one)


@QUICKLY
@given(CHAINS, st.data(), st.booleans())
def test_an_insertion_is_found(links: list[Link], data: st.DataObject, fits: bool) -> None:
    place = data.draw(st.integers(2, len(links)))
    forged = linked({"tenant_id": "acme", "kind": "x", "reason": "never was"}, links[place - 2])
    if not fits:
        forged = rewritten(forged, previous_hash="0" * 64)

    links.insert(place - 1, forged)

    assert damage(renumbered(links)) == ("insertion", place)


@QUICKLY
@given(CHAINS, st.data())
def test_an_entry_written_twice_is_found(links: list[Link], data: st.DataObject) -> None:
    source = data.draw(st.integers(1, len(links)))
    place = data.draw(st.integers(source + 1, len(links) + 1))

    links.insert(place - 1, links[source - 1])

    assert damage(renumbered(links)) == ("insertion", place)


@QUICKLY
@given(CHAINS, st.data(), st.booleans())
def test_a_truncation_is_found_by_a_checkpoint(links: list[Link], data: st.DataObject, elsewhere: bool) -> None:
    left = data.draw(st.integers(0, len(links) - 1))
    checkpoint = signed(links[-1])
    stored, kept = ([], [checkpoint.checkpoint]) if elsewhere else ([checkpoint], [])

    assert damage(links[:left], stored, kept, [KEY.public]) == ("truncation", left + 1)
    assert damage(links[:left]) is None, "which nothing within the chain could show"


@QUICKLY
@given(CHAINS, st.data())
def test_a_chain_written_anew_is_found_by_a_checkpoint(links: list[Link], data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(links)))
    anew = links[: place - 1]
    for link in links[place - 1 :]:
        told = {**json.loads(link.text), "reason": "another"}
        anew.append(linked(told, anew[-1] if anew else None))
    if anew[-1] == links[-1]:
        return

    assert damage(anew) is None, "which nothing within the chain could show"
    assert damage(anew, [signed(links[-1])], (), [KEY.public]) == ("rewrite", len(links))


def test_an_edited_entry_that_was_signed_is_named_although_it_is_the_last_or_its_neighbour_was_made_to_fit() -> None:
    links = chain_of(4)
    checkpoint = signed(links[1])
    edited = [links[0], rewritten(links[1], reason="none"), *links[2:]]

    assert damage(edited, [checkpoint]) == ("edit", 2)

    relinked = [*links[:2], rewritten(links[2], previous_hash="0" * 64)]
    assert damage(relinked, [checkpoint], (), [KEY.public]) == ("edit", 3)


def test_a_tenant_that_must_have_a_trail_and_has_none_lost_it() -> None:
    assert verify("acme", [], [], is_expected=True).damage == Damage(
        "truncation", 1, "there is not one entry, though there must have been some"
    )
    assert verify("acme", [], []).damage is None


@pytest.mark.parametrize(
    ("forge", "sentence"),
    [
        (lambda link: Placed(2, replace(signed(link).checkpoint, signature="00" * 64)), "not of the key that it names"),
        (
            lambda link: Placed(2, replace(signed(link).checkpoint, signature="nonsense")),
            "not of the key that it names",
        ),
        (lambda _: Placed(2, Checkpoint("[]", "")), "not an object in JSON"),
        (lambda _: Placed(2, Checkpoint("{", "")), "it is not JSON"),
        (lambda _: Placed(2, Checkpoint("{}", "")), "not a statement about a chain"),
        (lambda link: signed(link, tenant_id="globex"), "speaks of entry 2 of 'globex'"),
        (lambda link: Placed(1, signed(link).checkpoint), "speaks of entry 2 of 'acme'"),
    ],
)
def test_a_forged_checkpoint_is_no_proof(forge: object, sentence: str) -> None:
    assert callable(forge)
    links = chain_of(3)

    found = verify("acme", links, [forge(links[1])], keys=[KEY.public]).damage

    assert found is not None
    assert found.kind == "forged checkpoint"
    assert sentence in found.sentence


def test_a_checkpoint_of_a_key_that_was_not_given_is_no_proof_and_is_not_called_forged() -> None:
    links = chain_of(3)

    found = verify("acme", links, [signed(links[1], SigningKey.new())], keys=[KEY.public]).damage

    assert found is not None
    assert (found.kind, found.sequence) == ("unknown key", 2)
    assert "which is none of those given: after a change of keys give both" in found.sentence


def test_without_a_public_key_checkpoints_are_compared_and_the_report_says_that_nobody_judged_them() -> None:
    links = chain_of(3)

    report = verify("acme", links, [signed(links[1], SigningKey.new())])

    assert (report.damage, report.checkpoints, report.signatures_judged) == (None, 1, False)
    assert damage(links[:1], [signed(links[1], SigningKey.new())]) == ("truncation", 2)


def test_only_what_fits_is_counted_as_whole() -> None:
    links = chain_of(5)
    del links[3]

    report = verify("acme", links, [])

    assert (report.entries, report.head) == (3, links[2].hash)
