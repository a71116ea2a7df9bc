"""With a key, a trail is intact only if a signature and a statement from outside the database cover every entry."""

from __future__ import annotations

import pytest

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.trail_report import TrailReport
from verifywise_mlflow.audit.verification import AnchoredCheckpoint, TrailHead, verify_chain
from verifywise_mlflow_tests.support.audit_chains import (
    KEY,
    make_chain,
    make_chain_of_length,
    renamed,
    signed_checkpoint,
)

LINKS = make_chain_of_length(6)
STORED = [signed_checkpoint(LINKS[1]), signed_checkpoint(LINKS[3]), signed_checkpoint(LINKS[5])]
LAST = STORED[-1].checkpoint
OTHER_HISTORY = make_chain([f"reason {number}" for number in (1, 2, 3, 4, 55, 66)])


def verified(
    links: object = LINKS, stored: object = STORED, *external: Checkpoint, heads: tuple[TrailHead, ...] = ()
) -> TrailReport:
    assert isinstance(links, list)
    assert isinstance(stored, list)
    return verify_chain("acme", links, stored, external, [KEY.public], heads=heads)


def test_a_checkpoint_from_outside_over_the_last_entry_proves_the_trail() -> None:
    report = verified(LINKS, STORED, LAST)

    assert (report.outcome(), report.witnessed, report.not_proved()) == ("intact", 6, [])


def test_a_recorded_head_proves_the_trail_as_well() -> None:
    assert verified(heads=(TrailHead(6, LINKS[5].hash),)).outcome() == "intact"

    of_other_history = verified(heads=(TrailHead(6, OTHER_HISTORY[5].hash),))
    of_longer_trail = verified(heads=(TrailHead(7, "0" * 64),))
    assert [report.outcome() for report in (of_other_history, of_longer_trail)] == ["damaged", "damaged"]
    assert "is not the one that was recorded elsewhere as the head" in str(of_other_history.damage)


def test_without_a_statement_from_outside_the_report_says_what_to_compare_with() -> None:
    report = verified()

    assert report.outcome() == "unproved"
    assert report.not_proved() == [
        "entries after 6, if others ever existed, would not be missed: compare with a checkpoint stored elsewhere, "
        "newer than 2026-03-01T12:30:00+00:00 (--checkpoint), or with a head recorded elsewhere (--head)"
    ]


@pytest.mark.parametrize(
    ("links", "stored", "external", "outcome"),
    [
        pytest.param(LINKS[:4], STORED[:2], [], "unproved", id="truncated at a checkpoint"),
        pytest.param(LINKS[:4], STORED[:2], [LAST], "damaged", id="truncated, but an auditor has a later checkpoint"),
        pytest.param(LINKS[:4], STORED[:2], [STORED[0].checkpoint], "unproved", id="truncated after what is witnessed"),
        pytest.param(LINKS, [], [], "unsigned", id="stripped of its checkpoints"),
        pytest.param(OTHER_HISTORY, [], [], "unsigned", id="re-chained and stripped"),
        pytest.param(OTHER_HISTORY, STORED, [], "damaged", id="re-chained"),
        pytest.param(OTHER_HISTORY, STORED[:2], [], "unproved", id="re-chained after the last remaining checkpoint"),
        pytest.param(OTHER_HISTORY, STORED[:2], [LAST], "damaged", id="the same, and an auditor has a later one"),
        pytest.param(
            OTHER_HISTORY, STORED[:1], [STORED[1].checkpoint], "unproved", id="re-chained after what is witnessed"
        ),
        pytest.param(renamed(LINKS, "globex"), [], [], "damaged", id="another tenant's"),
        pytest.param(renamed(make_chain(["x"] * 6, "globex"), "acme"), [], [], "unsigned", id="renamed to this tenant"),
        pytest.param(
            renamed(make_chain(["x"] * 6, "globex"), "acme"),
            [signed_checkpoint(make_chain(["x"] * 6, "globex")[5], tenant_id="globex")],
            [],
            "damaged",
            id="renamed with the other tenant's checkpoint",
        ),
    ],
)
def test_a_manipulated_trail_is_never_intact_with_a_key(
    links: object, stored: object, external: list[Checkpoint], outcome: str
) -> None:
    assert verified(links, stored, *external).outcome() == outcome


def test_entries_after_the_last_checkpoint_are_counted_and_not_proved() -> None:
    report = verified(LINKS, STORED[:2], STORED[1].checkpoint)

    assert (report.outcome(), report.vouched, report.witnessed) == ("unproved", 4, 4)
    assert report.not_proved()[:2] == [
        "no checkpoint covers entries 5 to 6",
        "no checkpoint or head from outside covers entries 5 to 6",
    ]


def test_entries_that_only_a_stored_checkpoint_covers_are_named() -> None:
    report = verified(LINKS, STORED, STORED[1].checkpoint)

    not_covered, later = report.not_proved()
    assert not_covered == "no checkpoint or head from outside covers entries 5 to 6"
    assert later.startswith("entries after 6, if others ever existed")
    (asked,) = report.not_proved(through=5)
    assert asked.startswith("no checkpoint or head from outside covers entry 5: compare with a checkpoint")


@pytest.mark.parametrize(
    ("stored", "external", "sentence"),
    [
        ([], [], ": one of the entries 1 to 6 was changed, and the chain was rebuilt from there"),
        (STORED[:2], [], ": one of the entries 5 to 6 was changed"),
        ([], [STORED[1].checkpoint], ": one of the entries 5 to 6 was changed"),
        ([signed_checkpoint(LINKS[4])], [], ": entry 6 was changed, and the chain was rebuilt from there"),
        (STORED, [], ", but a checkpoint with a valid signature says otherwise"),
    ],
)
def test_a_head_that_contradicts_the_trail_is_placed_among_what_others_cover(
    stored: object, external: list[Checkpoint], sentence: str
) -> None:
    damage = verified(LINKS, stored, *external, heads=(TrailHead(6, "0" * 64),)).damage

    assert damage is not None
    assert f"entry 6 is not the one that was recorded elsewhere as the head{sentence}" in damage.sentence


def test_a_signature_that_nobody_verified_covers_nothing() -> None:
    damage = verify_chain("acme", LINKS, STORED, heads=[TrailHead(6, "0" * 64)]).damage

    assert damage is not None
    assert "one of the entries 1 to 6 was changed" in damage.sentence


def test_a_verifier_may_ask_about_the_entries_that_are_proved_only() -> None:
    report = verified(LINKS, STORED[:2], STORED[1].checkpoint)

    assert (report.outcome(through=4), report.not_proved(through=4)) == ("intact", [])
    assert (report.outcome(through=5), report.outcome(through=7)) == ("unproved", "unproved")
    assert "the trail ends with entry 6, before entry 7" in report.not_proved(through=7)


def test_the_same_checkpoint_counts_once_wherever_it_comes_from() -> None:
    report = verified(LINKS, [*STORED, STORED[-1]], LAST, LAST)

    assert report.checkpoints == 3


def test_without_a_key_a_consistent_chain_is_intact_and_nothing_more_is_claimed() -> None:
    report = verify_chain("acme", LINKS, STORED)

    assert report.outcome() == "intact"
    assert report.not_proved()[0] == "no signature was verified: pass --public-key"
    assert report.outcome(through=6) == "unproved"


def test_the_time_of_an_unverified_checkpoint_is_bounded() -> None:
    forged = Checkpoint(LAST.text.replace("2026-03-01", "2026-03-01" * 1_000), "00")

    assert len(str(verify_chain("acme", LINKS, [AnchoredCheckpoint(6, forged)]).last_signed_at)) < 40


def test_a_stranger_cannot_vouch_for_a_key() -> None:
    stranger = SigningKey.generate()

    report = verified(LINKS, [signed_checkpoint(LINKS[5], stranger)])

    assert report.outcome() == "damaged"
