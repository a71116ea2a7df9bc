from __future__ import annotations

from dataclasses import replace

import pytest

from verifywise_mlflow.artifacts.integrity import changes_in_place
from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest, FileKind, Root

OLD, NEW = "a" * 64, "b" * 64


def file(path: str, sha256: str | None = OLD, root: Root = "model") -> ArtifactFile:
    return ArtifactFile(root, path, 10, sha256, FileKind.OTHER)


def manifest(*files: ArtifactFile, all_listed: bool = True, location: str = "s3://b/m") -> ArtifactManifest:
    return ArtifactManifest(location, "complete", None, files, None, None, all_listed=all_listed)


def found(former: ArtifactManifest, current: ArtifactManifest) -> list[tuple[str, str, str]]:
    return [(change.kind, change.root, change.path) for change in changes_in_place(former, current)]


def test_the_same_bytes_are_no_change() -> None:
    assert found(manifest(file("a"), file("b")), manifest(file("b"), file("a"))) == []


def test_other_bytes_at_the_same_path_are_a_change_with_both_hashes() -> None:
    (change,) = changes_in_place(manifest(file("model.pkl")), manifest(file("model.pkl", NEW)))

    assert (change.former_sha256, change.sha256) == (OLD, NEW)
    assert OLD in change.sentence
    assert NEW in change.sentence


@pytest.mark.parametrize("unread", [(None, NEW), (OLD, None), (None, None)])
def test_what_was_not_hashed_in_both_readings_proves_nothing(unread: tuple[str | None, str | None]) -> None:
    assert found(manifest(file("a", unread[0])), manifest(file("a", unread[1]))) == []


def test_a_file_that_came_to_the_model_or_left_it_is_a_change() -> None:
    former, current = manifest(file("kept"), file("gone")), manifest(file("kept"), file("new", NEW))

    assert found(former, current) == [("removed", "model", "gone"), ("added", "model", "new")]


def test_a_run_may_get_more_files_and_lose_some_but_not_change_one() -> None:
    former = manifest(file("report", root="run"), file("old", root="run"))
    current = manifest(file("report", NEW, root="run"), file("later", root="run"))

    assert found(former, current) == [("changed", "run", "report")]


@pytest.mark.parametrize(("before", "now"), [(False, True), (True, False)])
def test_a_reading_that_did_not_list_everything_proves_no_loss(before: bool, now: bool) -> None:
    former = manifest(file("a"), file("b"), all_listed=before)
    current = manifest(file("b", NEW), file("c"), all_listed=now)

    assert found(former, current) == [("changed", "model", "b")]


def test_manifests_of_two_places_are_not_compared() -> None:
    assert found(manifest(file("a")), replace(manifest(file("a", NEW)), location="s3://b/other")) == []
