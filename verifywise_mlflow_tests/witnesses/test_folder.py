"""A folder keeps each checkpoint as a line, and refuses a checkpoint that contradicts an earlier one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from verifywise_mlflow.witnesses.folder import FolderWitness
from verifywise_mlflow.witnesses.reading import checkpoints_in
from verifywise_mlflow.witnesses.witness import WitnessError
from verifywise_mlflow_tests.support.audit_chains import make_chain
from verifywise_mlflow_tests.witnesses.checkpoints import chain, stamped


@pytest.fixture
def folder(tmp_path: Path) -> FolderWitness:
    return FolderWitness(name="share", directory=tmp_path)


def test_each_checkpoint_is_a_line_of_the_tenants_file_that_others_cannot_read(
    folder: FolderWitness, tmp_path: Path
) -> None:
    first, _, third = (stamped(link) for link in chain())
    old_mask = os.umask(0)
    try:
        receipt = folder.store("acme", first)
    finally:
        os.umask(old_mask)
    folder.store("acme", third)

    path = tmp_path / "acme.jsonl"
    assert receipt == {"path": str(path)}
    assert checkpoints_in(path.read_text()) == [first.checkpoint, third.checkpoint]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_checkpoint_that_was_stored_before_is_taken_again(folder: FolderWitness) -> None:
    first = stamped(chain()[0])
    folder.store("acme", first)
    folder.store("acme", stamped(chain()[0], token=b"a time-stamp token"))


def test_a_trail_that_was_cut_off_or_rewritten_is_refused_and_what_was_stored_stays(
    folder: FolderWitness, tmp_path: Path
) -> None:
    first, _, third = chain()
    folder.store("acme", stamped(third))
    before = (tmp_path / "acme.jsonl").read_bytes()
    rewritten = make_chain(["first", "second", "another third"])[2]

    for link in (first, rewritten):
        with pytest.raises(
            WitnessError, match=r"has a checkpoint of entry 3, .* contradicts that of entry [13]: .*cut"
        ):
            folder.store("acme", stamped(link))

    assert (tmp_path / "acme.jsonl").read_bytes() == before


def test_after_a_write_that_was_cut_short_the_next_checkpoint_begins_on_its_own_line(
    folder: FolderWitness, tmp_path: Path
) -> None:
    first, second, _ = (stamped(link) for link in chain())
    path = tmp_path / "acme.jsonl"
    folder.store("acme", first)
    path.write_bytes(path.read_bytes() + second.to_json_line().encode()[:40])

    folder.store("acme", second)

    lines = path.read_text().splitlines()
    assert [lines[0], lines[-1]] == [first.to_json_line(), second.to_json_line()]


def test_a_link_in_the_place_of_the_file_is_not_followed(folder: FolderWitness, tmp_path: Path) -> None:
    (tmp_path / "acme.jsonl").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(WitnessError, match="cannot be written to"):
        folder.store("acme", stamped(chain()[0]))

    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    folder = FolderWitness(name="share", directory=tmp_path / "not mounted")

    with pytest.raises(WitnessError, match=r"not mounted/acme\.jsonl: No such file or directory"):
        folder.store("acme", stamped(chain()[0]))


def test_the_folder_returns_what_it_has_of_a_tenant(folder: FolderWitness, tmp_path: Path) -> None:
    first, second, _ = (stamped(link) for link in chain())
    for checkpoint in (first, second):
        folder.store("acme", checkpoint)

    assert folder.checkpoints("acme") == [first.checkpoint, second.checkpoint]
    assert folder.checkpoints("globex") == []
    (tmp_path / "acme.jsonl").write_text("{}\n{}\n")
    with pytest.raises(WitnessError, match=r"acme\.jsonl cannot be read: line 1 has no checkpoint"):
        folder.checkpoints("acme")
