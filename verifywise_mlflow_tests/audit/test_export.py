"""Exports are verified by a script that shares no code with the product."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from verifywise_mlflow.audit.chain import ChainLink
from verifywise_mlflow.audit.checkpoint import sign_checkpoint
from verifywise_mlflow.audit.export import export_lines
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.audit.verification import AnchoredCheckpoint
from verifywise_mlflow_tests.audit.exported_file import SCRIPT, Export
from verifywise_mlflow_tests.support.audit_chains import (
    KEY,
    NOW,
    make_chain,
    make_chain_of_length,
    renamed,
    signed_checkpoint,
)
from verifywise_mlflow_tests.support.standalone_scripts import imported_packages

HOSTILE = ["a\nb\r\n\u2028c", '"},{"checkpoint":"x"}', "\x00\x1b[31m", "ÅΩ\U0001f600", "</script>", "9" * 5_000]


def test_the_script_is_short_and_imports_nothing_of_the_product() -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 191
    assert imported_packages(SCRIPT) == {"argparse", "hashlib", "json", "pathlib", "sys", "cryptography"}


def test_an_intact_export_is_accepted_for_any_content(export: Export) -> None:
    links = make_chain(HOSTILE)
    export.give("--public-key", KEY.public.pem())
    for link in (links[3], links[-1]):
        export.give("--checkpoint", f"{signed_checkpoint(link).checkpoint.to_json_line()}\n" * 2)

    code, output = export.verified(
        list(export_lines(links, [signed_checkpoint(links[1]), *[signed_checkpoint(links[-1])] * 2]))
    )

    sentence = f"entries 1 to 6 form one unbroken chain that ends with {links[-1].hash}"
    assert (code, sentence in output) == (0, True), output
    assert "matching checkpoints: 3; the last one is over entry 6 of 6\nsignatures verified" in output


def test_without_cryptography_the_chain_is_verified_but_not_the_signatures(export: Export) -> None:
    links = make_chain_of_length(3)
    exported = list(export_lines(links, [signed_checkpoint(links[1])]))

    code, output = export.verified(exported, isolated=True)
    assert (code, "signatures NOT verified" in output) == (0, True)

    export.give("--public-key", KEY.public.pem())
    code, output = export.verified(exported, isolated=True)
    assert (code, "cryptography" in output) == (2, True)


def tamper(links: list[ChainLink], tampering: str) -> list[str]:
    exported = list(export_lines(links, [signed_checkpoint(links[3])]))
    match tampering:
        case "edit":
            exported[1] = exported[1].replace("reason 2", "reason 9")
        case "gap":
            del exported[1]
        case "reorder":
            exported[1], exported[2] = exported[2], exported[1]
        case "insertion":
            exported.insert(2, exported[1])
        case "truncation before a checkpoint":
            del exported[3]
        case "a checkpoint of a stranger":
            exported[4] = signed_checkpoint(links[3], SigningKey.generate()).checkpoint.to_json_line()
        case "another tenant's":
            exported[1] = make_chain_of_length(2)[1].text.replace("acme", "globex")
        case "half a line":
            exported[-1] = exported[-1][:40]
    return exported


@pytest.mark.parametrize(
    ("tampering", "line"),
    [
        ("edit", 3),
        ("gap", 2),
        ("reorder", 2),
        ("insertion", 3),
        ("truncation before a checkpoint", 4),
        ("a checkpoint of a stranger", 5),
        ("another tenant's", 2),
        ("half a line", 6),
    ],
)
def test_the_first_invalid_line_is_reported(export: Export, tampering: str, line: int) -> None:
    export.give("--public-key", KEY.public.pem())

    code, output = export.verified(tamper(make_chain_of_length(5), tampering))

    verdict = "FAILED" if tampering == "a checkpoint of a stranger" else "DAMAGED"
    assert (code, output.startswith(f"{verdict} at line {line}:")) == (1, True), output


@pytest.mark.parametrize(
    ("manipulation", "code", "reason"),
    [
        ("none", 4, "entries after 5, if others ever existed, would not be missed"),
        ("stripped of checkpoints", 1, "no signature vouches for this trail"),
        ("re-chained and stripped", 1, "no signature vouches for this trail"),
        ("truncated at a checkpoint", 4, "newer than 2026-03-01T12:30:00+00:00"),
        ("re-chained after a checkpoint", 4, "the last one is over entry 3 of 5"),
        ("renamed", 2, "is not evidence about 'acme', but about 'globex'"),
        ("renamed, and no tenant was given", 1, "no signature vouches for this trail"),
    ],
)
def test_with_a_key_a_manipulated_export_is_never_accepted(
    export: Export, manipulation: str, code: int, reason: str
) -> None:
    links, stored = make_chain_of_length(5), []
    match manipulation:
        case "none":
            stored = [signed_checkpoint(links[2]), signed_checkpoint(links[4])]
        case "re-chained and stripped":
            links = make_chain(["another"] * 5)
        case "truncated at a checkpoint":
            stored, links = [signed_checkpoint(links[2])], links[:3]
        case "re-chained after a checkpoint":
            stored, links = [signed_checkpoint(links[2])], make_chain(["reason 1", "reason 2", "reason 3", "x", "y"])
        case "renamed" | "renamed, and no tenant was given":
            links = renamed(links, "globex")
    export.give("--public-key", KEY.public.pem())
    export.options += ["--tenant", "acme"] * (manipulation != "renamed, and no tenant was given")

    found_code, output = export.verified(list(export_lines(links, stored)))

    assert (found_code, reason in output) == (code, True), output


def test_a_recorded_head_proves_the_entries_up_to_it(export: Export) -> None:
    links = make_chain_of_length(5)
    exported = list(export_lines(links, [signed_checkpoint(links[2])]))
    export.give("--public-key", KEY.public.pem())
    options = export.options

    def codes(*more: str) -> int:
        export.options = [*options, *more]
        return export.verified(exported)[0]

    assert codes("--head", f"5:{links[4].hash}") == 0
    assert codes("--head", f"3:{links[2].hash}") == 4
    assert codes("--head", f"3:{links[2].hash}", "--through", "3") == 0
    assert codes("--head", f"5:{links[3].hash}") == 1
    assert codes("--head", f"6:{links[4].hash}") == 1
    assert codes("--head", "5") == 2


def test_a_key_vouches_for_the_next(export: Export) -> None:
    links, new = make_chain_of_length(5), SigningKey.generate()
    change = [signed_checkpoint(links[2], new), signed_checkpoint(links[2], KEY, next_key=new.public)]
    last = signed_checkpoint(links[4], new)
    export.give("--public-key", KEY.public.pem())
    export.give("--checkpoint", last.checkpoint.to_json_line())

    assert export.verified(list(export_lines(links, [*change, last])))[0] == 0

    export.give("--checkpoint", change[1].checkpoint.to_json_line())
    assert export.verified(list(export_lines(links, [change[0], last])))[0] == 0, (
        "a key may vouch outside of the export"
    )
    del export.options[-2:]

    of_replaced_key = export.verified(list(export_lines(links, [*change, signed_checkpoint(links[3])])))
    assert (of_replaced_key[0], "which an earlier entry replaced" in of_replaced_key[1]) == (1, True)
    lost = [AnchoredCheckpoint(3, sign_checkpoint("acme", links[2], new, NOW, replaces=[KEY.key_id]))]
    export.give("--public-key", new.public.pem())
    assert export.verified(list(export_lines(links, [*lost, last])))[0] == 0
    assert (
        "which an earlier entry replaced"
        in export.verified(list(export_lines(links, [*lost, signed_checkpoint(links[3])])))[1]
    )
    del export.options[-2:]

    code, output = export.verified(list(export_lines(links, [change[0], last])))
    assert (code, "what vouches for the other key was removed from the export" in output) == (2, True)
    before = signed_checkpoint(links[0])
    code, output = export.verified(list(export_lines(links, [before, change[0], last])))
    assert (code, "FAILED at line 5" in output, "the other one is a forger's" in output) == (1, True, True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{}", "it has no 'tenant_id'"),
        ('{"checkpoint":"{}","signature":"00"}', "it has no 'format'"),
        ('"text"', "it is not an entry"),
        ("[]", "it is not an entry"),
        ("{", "it is not JSON"),
    ],
)
def test_a_foreign_line_is_reported_in_a_sentence(export: Export, line: str, reason: str) -> None:
    code, output = export.verified([make_chain_of_length(1)[0].text, line])

    assert (code, output) == (1, f"DAMAGED at line 2: {reason}\n")


def test_wrong_keys_are_reported_in_a_sentence(export: Export) -> None:
    export.give("--public-key", KEY.public.pem())
    links = make_chain_of_length(2)
    of_a_stranger = signed_checkpoint(links[1], SigningKey.generate())
    forged = json.loads(signed_checkpoint(links[1]).checkpoint.to_json_line()) | {"signature": "00" * 64}

    unknown = export.verified(list(export_lines(links, [of_a_stranger])))
    wrong = export.verified([*(link.text for link in links), json.dumps(forged)])

    assert (unknown[0], "which was not supplied" in unknown[1]) == (1, True), unknown
    assert wrong == (1, "DAMAGED at line 3: its signature was not made by the key that it names\n")


def test_the_script_says_what_the_statements_from_outside_cover(export: Export) -> None:
    links = make_chain_of_length(5)
    exported = list(export_lines(links, [signed_checkpoint(links[4])]))
    export.give("--public-key", KEY.public.pem())
    export.give("--checkpoint", signed_checkpoint(links[2]).checkpoint.to_json_line())

    code, output = export.verified(exported)
    assert (code, "what you have from outside covers entries 1 to 3" in output) == (4, True)
    assert "NOT proved: nothing from outside covers entries 4 to 5" in output
    assert f"given-0 is the key {KEY.key_id}" in output
    export.options += ["--through", "4"]
    code, output = export.verified(exported)
    assert (code, "outside covers entries 4 to 4." in output, "entries after" in output) == (4, True, False)
    export.options[-1] = "9"
    code, output = export.verified(exported)
    assert (code, "NOT proved: the trail ends with entry 5, before entry 9" in output) == (4, True)


def test_a_change_of_the_key_is_shown(export: Export) -> None:
    links, new = make_chain_of_length(2), SigningKey.generate()
    change = [signed_checkpoint(links[0], KEY, next_key=new.public), signed_checkpoint(links[0], new)]
    export.give("--public-key", KEY.public.pem())
    export.give("--checkpoint", change[0].checkpoint.to_json_line())

    _, output = export.verified(list(export_lines(links, change)))

    assert output.count(f"at entry 1, the key {KEY.key_id} vouches for {new.key_id}") == 1


def test_a_trail_without_a_checkpoint_is_called_one(export: Export) -> None:
    links = make_chain_of_length(2)
    _, output = export.verified([links[0].text])
    assert "'acme': entries 1 to 1 form one unbroken chain" in output
    assert "there is no checkpoint, so no signature was verified" in output

    export.give("--public-key", KEY.public.pem())
    code, output = export.verified([links[0].text])
    assert (code, "signatures verified" in output, "it was never signed, or" in output) == (1, False, True)
    _, output = export.verified([*export_lines(links, [signed_checkpoint(links[0])])])
    assert "matching checkpoints: 1; the last one is over entry 1 of 2" in output


@pytest.mark.parametrize(
    "forge", [lambda links: links[:3], lambda _: make_chain(["reason 1", "another", "reason 3", "reason 4"])]
)
def test_an_external_checkpoint_reveals_tampering_with_the_export(
    export: Export, forge: Callable[[list[ChainLink]], list[ChainLink]]
) -> None:
    links = make_chain_of_length(4)
    export.give("--checkpoint", signed_checkpoint(links[3]).checkpoint.to_json_line())

    code, output = export.verified(list(export_lines(forge(links), [])))

    assert (code, "DAMAGED" in output) == (1, True), output


def test_each_exported_entry_is_the_text_that_was_hashed() -> None:
    links = make_chain(HOSTILE)
    exported = list(export_lines(links, [signed_checkpoint(links[0]), signed_checkpoint(links[-1])]))

    assert [line for line in exported if "checkpoint" not in json.loads(line)] == [link.text for link in links]
    assert [line.count("\n") for line in exported] == [0] * len(exported)
    assert json.loads(exported[1])["checkpoint"] == signed_checkpoint(links[0]).checkpoint.text
