"""A key vouches for the next one, so an auditor who trusts the first key of a trail needs no other."""

from __future__ import annotations

from dataclasses import replace

from verifywise_mlflow.audit.checkpoint import Checkpoint, sign_checkpoint
from verifywise_mlflow.audit.key_chain import KeyChange
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.trail_report import TrailReport
from verifywise_mlflow.audit.verification import AnchoredCheckpoint, verify_chain
from verifywise_mlflow_tests.support.audit_chains import KEY, NOW, make_chain_of_length, signed_checkpoint

LINKS = make_chain_of_length(8)
SECOND, THIRD = SigningKey.generate(), SigningKey.generate()
CHANGES = [
    signed_checkpoint(LINKS[2], SECOND),  # before its key is vouched for: the database orders by signature
    signed_checkpoint(LINKS[2], KEY, next_key=SECOND.public),
    signed_checkpoint(LINKS[5], SECOND, next_key=THIRD.public),
    signed_checkpoint(LINKS[5], THIRD),
]
STORED = [signed_checkpoint(LINKS[1]), *CHANGES[:2], signed_checkpoint(LINKS[4], SECOND), *CHANGES[2:]]


def verified(stored: list[AnchoredCheckpoint], *external: Checkpoint) -> TrailReport:
    return verify_chain("acme", LINKS, stored, external, [KEY.public])


def test_each_key_vouches_for_the_next() -> None:
    last = signed_checkpoint(LINKS[7], THIRD)

    report = verified([*STORED, last], last.checkpoint)

    assert (report.outcome(), report.checkpoints, report.vouched) == ("intact", 7, 8)
    assert report.key_changes == (
        KeyChange(3, KEY.key_id, SECOND.key_id),
        KeyChange(6, SECOND.key_id, THIRD.key_id),
    )


def test_a_checkpoint_from_outside_may_be_of_a_later_key() -> None:
    assert verified(STORED, signed_checkpoint(LINKS[7], THIRD).checkpoint).outcome() == "intact"


def test_a_replaced_key_signs_nothing_more() -> None:
    for key in (KEY, SECOND):
        damage = verified([*STORED, signed_checkpoint(LINKS[7], key)]).damage
        assert damage is not None
        assert (damage.kind, damage.sequence) == ("replaced key", 8)


def test_a_lost_key_signs_nothing_after_the_key_that_replaces_it() -> None:
    change = AnchoredCheckpoint(3, sign_checkpoint("acme", LINKS[2], SECOND, NOW, replaces=[KEY.key_id]))
    stored = [signed_checkpoint(LINKS[1]), change, signed_checkpoint(LINKS[4], SECOND)]
    by_thief = signed_checkpoint(LINKS[6])
    keys = [KEY.public, SECOND.public]

    assert verify_chain("acme", LINKS, stored, keys=keys).damage is None
    damage = verify_chain("acme", LINKS, [*stored, by_thief], keys=keys).damage

    assert damage is not None
    assert (damage.kind, damage.sequence) == ("replaced key", 7)


def test_a_key_for_which_none_vouches_is_unknown() -> None:
    without = [item for item in STORED if not item.checkpoint.names_next_key]

    damage = verified(without).damage

    assert damage is not None
    assert (damage.kind, damage.sequence) == ("unknown key", 3)


def test_only_a_signed_statement_vouches() -> None:
    genuine = CHANGES[1]
    forged = replace(genuine.checkpoint, text=genuine.checkpoint.text.replace(SECOND.public.pem()[30:60], "A" * 30))
    malformed = replace(genuine.checkpoint, text=genuine.checkpoint.text.replace("BEGIN", "END"))

    for checkpoint in (forged, malformed):
        damage = verified([STORED[0], AnchoredCheckpoint(3, checkpoint)]).damage
        assert damage is not None
        assert damage.kind == "forged checkpoint"


def test_a_key_vouches_for_nothing_that_is_no_key() -> None:
    text = CHANGES[1].checkpoint.text.replace(SECOND.public.pem()[30:60], "A" * 30)

    damage = verified([AnchoredCheckpoint(3, Checkpoint(text, KEY.sign(text.encode()).hex()))]).damage

    assert damage is not None
    assert "it vouches for a key that cannot be used" in damage.sentence


def test_keys_of_trails_from_before_recorded_changes_are_all_supplied() -> None:
    stored = [signed_checkpoint(LINKS[1]), signed_checkpoint(LINKS[4], SECOND), signed_checkpoint(LINKS[6])]

    report = verify_chain("acme", LINKS, stored, keys=[KEY.public, SECOND.public])

    assert (report.damage, report.checkpoints, report.key_changes) == (None, 3, ())
