from __future__ import annotations

from dataclasses import replace

import pytest

from verifywise_mlflow.artifacts.integrity import changes_in_place
from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest, FileKind, Root

OLD, NEW = "a" * 64, "b" * 64


def file(path: str, sha256: str | None = OLD, root: Root = "model") -> ArtifactFile:
    return ArtifactFile(root, path, 10, sha256, FileKind.OTHER)


def manifest(*files: ArtifactFile, not_listed: tuple[Root, ...] = (), location: str = "s3://b/m") -> ArtifactManifest:
    return ArtifactManifest(location, "complete", None, files, None, None, not_listed=not_listed)


def changed_files(earlier: ArtifactManifest, current: ArtifactManifest) -> list[tuple[str, str, str]]:
    return [(change.kind, change.root, change.path) for change in changes_in_place(earlier, current)]


def test_identical_bytes_are_not_a_change() -> None:
    assert changed_files(manifest(file("a"), file("b")), manifest(file("b"), file("a"))) == []


def test_different_bytes_at_one_path_are_a_change_with_both_hashes() -> None:
    (change,) = changes_in_place(manifest(file("model.pkl")), manifest(file("model.pkl", NEW)))

    assert (change.former_sha256, change.sha256) == (OLD, NEW)
    assert OLD in change.sentence
    assert NEW in change.sentence


@pytest.mark.parametrize("hashes", [(None, NEW), (OLD, None), (None, None)])
def test_a_file_not_hashed_by_both_syncs_is_not_a_change(hashes: tuple[str | None, str | None]) -> None:
    assert changed_files(manifest(file("a", hashes[0])), manifest(file("a", hashes[1]))) == []


def test_a_file_added_to_or_removed_from_the_model_is_a_change() -> None:
    earlier, current = manifest(file("same"), file("deleted")), manifest(file("same"), file("new", NEW))

    assert changed_files(earlier, current) == [("removed", "model", "deleted"), ("added", "model", "new")]


def test_a_run_may_gain_and_lose_files_but_not_change_one() -> None:
    earlier = manifest(file("report", root="run"), file("old", root="run"))
    current = manifest(file("report", NEW, root="run"), file("later", root="run"))

    assert changed_files(earlier, current) == [("changed", "run", "report")]


@pytest.mark.parametrize(
    ("before", "now", "additions"), [(("model",), (), []), ((), ("model",), [("added", "model", "c")])]
)
def test_an_incomplete_listing_proves_no_removal(
    before: tuple[Root, ...], now: tuple[Root, ...], additions: list[tuple[str, str, str]]
) -> None:
    earlier = manifest(file("a"), file("b"), not_listed=before)
    current = manifest(file("b", NEW), file("c"), not_listed=now)

    assert changed_files(earlier, current) == [("changed", "model", "b"), *additions]


@pytest.mark.parametrize(("was_emptied", "changes"), [(False, []), (True, [("added", "model", "a")])])
def test_a_folder_without_files_is_a_baseline_only_if_it_was_emptied(
    was_emptied: bool, changes: list[tuple[str, str, str]]
) -> None:
    found = changes_in_place(manifest(), manifest(file("a")), was_emptied=was_emptied)

    assert [(change.kind, change.root, change.path) for change in found] == changes


def test_manifests_of_different_locations_are_not_compared() -> None:
    assert changed_files(manifest(file("a")), replace(manifest(file("a", NEW)), location="s3://b/other")) == []


def test_an_unlisted_run_does_not_hide_a_removal_in_the_model() -> None:
    assert changed_files(manifest(file("a")), manifest(not_listed=("run",))) == [("removed", "model", "a")]


def test_a_different_size_is_a_change_even_if_the_bytes_were_not_hashed() -> None:
    grown = replace(file("model.pkl", None), size=20)

    (change,) = changes_in_place(manifest(file("model.pkl")), manifest(grown))

    assert (change.kind, change.former_sha256, change.sha256, change.size) == ("changed", OLD, None, 20)
    assert "has 20 bytes now" in change.sentence
