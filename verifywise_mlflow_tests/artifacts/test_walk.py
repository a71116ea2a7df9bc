from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.limits import Limits
from verifywise_mlflow.artifacts.walk import MAX_PROBLEMS, walk
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow_tests.artifacts.trees import HostileTree, directory, file, grow


def test_a_tree_is_listed_whole_and_sorted(tmp_path: Path) -> None:
    tree = grow(tmp_path, {"b/c/deep.txt": "1", "a.txt": "", "b/x y.txt": "22"})

    listing = walk(tree, "", Limits())

    assert [(entry.path, entry.size) for entry in listing.files] == [
        ("a.txt", 0),
        ("b/c/deep.txt", 1),
        ("b/x y.txt", 2),
    ]
    assert listing.problems == ()


def test_what_is_excluded_is_not_even_listed(tmp_path: Path) -> None:
    tree = grow(tmp_path, {"model/MLmodel": "", "model2/MLmodel": ""})

    listing = walk(tree, "", Limits(), excluded={"model"})

    assert [entry.path for entry in listing.files] == ["model2/MLmodel"]
    assert "model" not in tree.listed


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../secret",
        "folder/../../secret",
        "folder/./x",
        "folder//x",
        "other/x",
        "folder-2/x",
        "folder/a\\..\\b",
        "folder/a\0b",
        "folder/\ud800",
        "folder",
        "folder/",
        "",
    ],
)
def test_a_path_that_cannot_be_believed_is_refused_with_a_reason(path: str) -> None:
    tree = HostileTree({"folder": [file(path), file("folder/good")]})

    listing = walk(tree, "folder", Limits())

    assert [entry.path for entry in listing.files] == ["folder/good"]
    assert len(listing.problems) == 1
    assert "refused" in listing.problems[0]
    assert listing.problems[0].isprintable()


def test_directories_that_list_themselves_or_their_parents_end() -> None:
    tree = HostileTree({"": [directory("a"), directory("a"), directory("")], "a": [directory("a"), file("a/x")]})

    listing = walk(tree, "", Limits())

    assert [entry.path for entry in listing.files] == ["a/x"]
    assert len(listing.problems) == 2


def test_a_loop_of_links_ends_at_the_depth_limit(tmp_path: Path) -> None:
    tree = grow(tmp_path, {"x": "1"})
    (tmp_path / "loop").symlink_to(tmp_path)

    listing = walk(tree, "", Limits(depth=4))

    assert len(listing.files) == 4
    assert any("deeper than 4 levels" in problem for problem in listing.problems)


def test_a_directory_that_fails_does_not_stop_the_others() -> None:
    tree = HostileTree({"": [directory("bad"), directory("good")], "good": [file("good/x")]})

    listing = walk(tree, "", Limits())

    assert [entry.path for entry in listing.files] == ["good/x"]
    assert listing.problems == ("'bad' could not be listed: 500 Internal Server Error",)
    assert listing.reached


def test_a_root_that_fails_was_not_reached() -> None:
    assert not walk(HostileTree({}), "", Limits()).reached


@pytest.mark.parametrize(
    ("limits", "count", "told"),
    [
        (Limits(files=2), 2, "2 files"),
        (Limits(files=3), 3, None),
        (Limits(directories=1), 2, "1 directories"),
        (Limits(directories=2), 3, None),
        (Limits(depth=1), 2, "1 levels"),
    ],
)
def test_a_cut_is_always_told(tmp_path: Path, limits: Limits, count: int, told: str | None) -> None:
    tree = grow(tmp_path, {"a": "", "b": "", "c/d": ""})

    listing = walk(tree, "", limits)

    assert len(listing.files) == count
    assert bool(listing.problems) is (told is not None)
    assert told is None or told in listing.problems[0]


def test_a_flood_of_bad_entries_is_counted_rather_than_told() -> None:
    listing = walk(HostileTree({"": [file(f"/{number}") for number in range(1000)]}), "", Limits())

    assert len(listing.problems) == MAX_PROBLEMS + 1
    assert listing.problems[-1] == f"{1000 - MAX_PROBLEMS} more problems"


def test_a_negative_size_is_refused() -> None:
    assert walk(HostileTree({"": [RemoteFile("x", False, -1)]}), "", Limits()).files == ()
