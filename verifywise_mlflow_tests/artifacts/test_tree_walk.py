from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.problem_list import MAX_PROBLEMS
from verifywise_mlflow.artifacts.tree_walk import ProblemKind, walk
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow_tests.artifacts.trees import HostileSource, directory, file, write_files


def test_a_tree_is_listed_completely_and_sorted(tmp_path: Path) -> None:
    tree = write_files(tmp_path, {"b/c/deep.txt": "1", "a.txt": "", "b/x y.txt": "22"})

    listing = walk(tree, "", ManifestLimits())

    assert [(entry.path, entry.size) for entry in listing.files] == [
        ("a.txt", 0),
        ("b/c/deep.txt", 1),
        ("b/x y.txt", 2),
    ]
    assert listing.problems == ()


def test_an_excluded_folder_is_not_listed(tmp_path: Path) -> None:
    tree = write_files(tmp_path, {"model/MLmodel": "", "model2/MLmodel": ""})

    listing = walk(tree, "", ManifestLimits(), excluded={"model"})

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
def test_an_untrusted_path_is_rejected_with_a_reason(path: str) -> None:
    tree = HostileSource({"folder": [file(path), file("folder/good")]})

    listing = walk(tree, "folder", ManifestLimits())

    assert [entry.path for entry in listing.files] == ["folder/good"]
    assert len(listing.problems) == 1
    assert "refused" in listing.problems[0]
    assert listing.problems[0].isprintable()


def test_a_directory_that_lists_itself_or_its_parent_terminates() -> None:
    tree = HostileSource({"": [directory("a"), directory("a"), directory("")], "a": [directory("a"), file("a/x")]})

    listing = walk(tree, "", ManifestLimits())

    assert [entry.path for entry in listing.files] == ["a/x"]
    assert len(listing.problems) == 2


def test_a_symlink_loop_ends_at_the_depth_limit(tmp_path: Path) -> None:
    tree = write_files(tmp_path, {"x": "1"})
    (tmp_path / "loop").symlink_to(tmp_path)

    listing = walk(tree, "", ManifestLimits(max_depth=4))

    assert len(listing.files) == 4
    assert any("deeper than 4 levels" in problem for problem in listing.problems)


def test_a_directory_that_fails_does_not_stop_the_others() -> None:
    tree = HostileSource({"": [directory("bad"), directory("good")], "good": [file("good/x")]})

    listing = walk(tree, "", ManifestLimits())

    assert [entry.path for entry in listing.files] == ["good/x"]
    assert listing.problems == ("'bad' could not be listed: 500 Internal Server Error",)
    assert listing.is_root_listed


def test_a_failing_root_is_not_listed() -> None:
    assert not walk(HostileSource({}), "", ManifestLimits()).is_root_listed


@pytest.mark.parametrize(
    ("limits", "count", "expected"),
    [
        (ManifestLimits(max_files=2), 2, "2 files"),
        (ManifestLimits(max_files=3), 3, None),
        (ManifestLimits(max_directories=1), 2, "more than 1 directories"),
        (ManifestLimits(max_directories=2), 3, None),
        (ManifestLimits(max_depth=1), 2, "1 levels"),
    ],
)
def test_a_truncated_listing_reports_a_problem(
    tmp_path: Path, limits: ManifestLimits, count: int, expected: str | None
) -> None:
    tree = write_files(tmp_path, {"a": "", "b": "", "c/d": ""})

    listing = walk(tree, "", limits)

    assert len(listing.files) == count
    assert bool(listing.problems) is (expected is not None)
    assert expected is None or expected in listing.problems[0]


def test_a_listing_stops_as_soon_as_it_is_certain_that_a_limit_is_exceeded() -> None:
    folders = {f"d{number:03}": [file(f"d{number:03}/{name}") for name in range(10)] for number in range(100)}
    wide = {"": [directory(name) for name in folders], **folders}

    for limits, request_count, file_count in (
        (ManifestLimits(max_directories=99), 1, 0),
        (ManifestLimits(max_files=25), 4, 25),
        (ManifestLimits(), 101, 1_000),
    ):
        tree = CountingSource(wide)
        listing = walk(tree, "", limits)

        assert (tree.requests, len(listing.files)) == (request_count, file_count), limits
        assert listing.problem_kinds == ({ProblemKind.TOO_MANY} if file_count < 1_000 else set())


@pytest.mark.parametrize(
    ("tree", "limits", "kind"),
    [
        ({"": [directory("bad")]}, ManifestLimits(), ProblemKind.FAILED),
        ({"": [file("/etc/passwd")]}, ManifestLimits(), ProblemKind.FAILED),
        ({"": [file("a/b/c")]}, ManifestLimits(max_depth=2), ProblemKind.OVER_LIMIT),
        ({"": [file("a"), file("b")]}, ManifestLimits(max_files=1), ProblemKind.TOO_MANY),
    ],
)
def test_the_kind_of_a_problem_says_whether_a_limit_causes_it(
    tree: Mapping[str, Sequence[RemoteFile]], limits: ManifestLimits, kind: ProblemKind
) -> None:
    assert walk(HostileSource(tree), "", limits).problem_kinds == {kind}


class CountingSource(HostileSource):
    """Counts the directories that are listed."""

    requests = 0

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        self.requests += 1
        return super().list_directory(path)


def test_a_flood_of_bad_entries_is_counted() -> None:
    listing = walk(HostileSource({"": [file(f"/{number}") for number in range(1000)]}), "", ManifestLimits())

    assert len(listing.problems) == MAX_PROBLEMS + 1
    assert listing.problems[-1] == f"{1000 - MAX_PROBLEMS} more problems"


def test_a_negative_size_is_rejected() -> None:
    assert walk(HostileSource({"": [RemoteFile("x", False, -1)]}), "", ManifestLimits()).files == ()
