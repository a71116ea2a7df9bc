"""Files that are no evidence for or against an export: cut files, files of another tenant or kind, wrong keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from verifywise_mlflow.audit.export import export_lines
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow_tests.audit.exported_file import Export
from verifywise_mlflow_tests.support.audit_chains import KEY, make_chain, make_chain_of_length, signed_checkpoint

RSA = (
    generate_private_key(65_537, 2_048)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.mark.parametrize(
    "change",
    [
        lambda export: export.replace(b"\n", b"\r\n"),
        lambda export: b"\xef\xbb\xbf" + export,
        lambda export: export.decode().encode("utf-16"),
    ],
    ids=["CR LF", "byte order mark", "UTF-16"],
)
def test_changed_line_endings_or_encodings_are_named_as_such(export: Export, change: Callable[[bytes], bytes]) -> None:
    exported = "".join(f"{link.text}\n" for link in make_chain_of_length(3)).encode()

    code, output = export.verified_bytes(change(exported))

    assert (code, "line 1 has other line endings (CR LF) or another encoding" in output) == (2, True), output


def test_an_export_without_entries_is_a_cut_download_or_a_removed_trail(export: Export) -> None:
    code, output = export.verified([])

    assert code == 1
    assert "the export has no entry: download" in output
    assert "If it has none again, all entries were removed" in output
    only_checkpoints = export.verified([signed_checkpoint(make_chain_of_length(1)[0]).checkpoint.to_json_line()])
    assert (only_checkpoints[0], "FAILED at the end: the export has no entry" in only_checkpoints[1]) == (1, True)


def test_a_cut_download_is_distinguished_from_damage(export: Export) -> None:
    whole = "".join(f"{link.text}\n" for link in make_chain_of_length(3)).encode()

    code, output = export.verified_bytes(whole[:-20])

    assert (code, "export.jsonl ends in the middle of line 3: download it again" in output) == (2, True), output
    assert "If it ends there again, the export was cut off" in output
    assert export.verified_bytes(whole[:20])[0] == 2


@pytest.mark.parametrize(
    "content", [b'{\n "format": "proof"\n}\n', b"PK\x03\x04\r\n", b"[]\n", b"{}", b'"text"\n', b"\n", b"[" * 9_999]
)
def test_a_file_that_is_no_export_is_called_one(export: Export, content: bytes) -> None:
    code, output = export.verified_bytes(content)

    assert (code, "export.jsonl does not begin with an entry: it is not an export" in output) == (2, True), output


def test_files_of_another_tenant_are_wrong_files(export: Export) -> None:
    acme, globex = make_chain_of_length(2), make_chain(["x", "y"], "globex")
    export.give("--checkpoint", signed_checkpoint(globex[1], tenant_id="globex").checkpoint.to_json_line())

    code, output = export.verified([link.text for link in acme])
    sentence = "given-0 is not evidence about 'acme', but about 'globex': use files of one tenant"
    assert (code, sentence in output) == (2, True), output
    export.options += ["--tenant", "acme"]
    assert export.verified([link.text for link in acme])[0] == 2
    assert "is not evidence about 'acme'" in export.verified([link.text for link in globex])[1]
    within = export.verified([acme[0].text, globex[1].text])
    assert within[0] == 2, "the checkpoint is the first wrong file"
    del export.options[:2]
    within = export.verified([acme[0].text, globex[1].text])
    assert (within[0], "DAMAGED at line 2: it is of the tenant 'globex', not of 'acme'" in within[1]) == (1, True)


def test_a_wrong_public_key_is_distinguished_from_a_forgery_if_the_auditor_has_a_checkpoint(export: Export) -> None:
    links, other = make_chain_of_length(3), SigningKey.generate()
    exported = list(export_lines(links, [signed_checkpoint(links[0]), signed_checkpoint(links[2])]))
    export.give("--public-key", other.public.pem())

    code, output = export.verified(exported)
    assert (code, output.startswith("FAILED at line 2: it names the key 'sha256:")) == (1, True), output

    export.give("--checkpoint", signed_checkpoint(links[2]).checkpoint.to_json_line())
    code, output = export.verified(exported)
    assert (code, "Compare the hash of your key with the one that you noted" in output) == (2, True), output
    signed_again = [signed_checkpoint(links[0], SigningKey.generate()), signed_checkpoint(links[2])]
    code, output = export.verified(list(export_lines(links, signed_again)))
    assert (code, output.startswith("FAILED at line 2")) == (1, True), "the auditor has no checkpoint of this key"


@pytest.mark.parametrize(
    ("option", "content", "reason"),
    [
        ("--public-key", KEY.pem().decode(), "given-0 is a private key, which its owner must keep secret"),
        ("--public-key", RSA, "given-0 is not an Ed25519 public key in PEM"),
        ("--public-key", "nonsense", "given-0 is not an Ed25519 public key in PEM"),
        ("--checkpoint", "", "given-0 has no checkpoint"),
        ("--checkpoint", " \n\n", "given-0 has no checkpoint"),
        ("--checkpoint", "\nnull\n", "given-0: line 2 is not a checkpoint"),
        ("--checkpoint", "{}", "given-0: line 1 is not a checkpoint"),
        ("--checkpoint", '{"checkpoint":"{}","signature":"00"}', "given-0: line 1 is not a checkpoint"),
        ("--checkpoint", "[" * 99_999, "given-0: line 1 is not a checkpoint"),
    ],
)
def test_a_file_of_the_auditor_that_cannot_be_used_is_named(
    export: Export, option: str, content: str, reason: str
) -> None:
    export.give(option, content)

    code, output = export.verified([make_chain_of_length(1)[0].text])

    assert (code, reason in output, "Traceback" in output) == (2, True, False), output


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--public-key", "absent.pem"], "absent.pem: No such file or directory"),
        (["--checkpoint", "absent.jsonl"], "absent.jsonl: No such file or directory"),
        (["--head", "5"], "--head must be the number of an entry and its hash"),
        (["--head", f"{'9' * 5_000}:{'0' * 64}"], "--head must be the number of an entry and its hash"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(export: Export, options: list[str], reason: str) -> None:
    export.options += options

    code, output = export.verified([make_chain_of_length(1)[0].text])

    assert (code, reason in output) == (2, True), output


@pytest.mark.parametrize("editor", [lambda line: f"\ufeff{line}", lambda line: f"{line}\r\n\r\n"])
def test_a_checkpoint_that_an_editor_on_windows_saved_is_read(export: Export, editor: Callable[[str], str]) -> None:
    links = make_chain_of_length(2)
    export.give("--public-key", KEY.public.pem())
    export.give("--checkpoint", editor(signed_checkpoint(links[1]).checkpoint.to_json_line()))

    assert export.verified([link.text for link in links])[0] == 0
