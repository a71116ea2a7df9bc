"""A local folder, such as a mounted NFS share: its files are read, and no path leads out of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.source import ArtifactReadError, ArtifactSource
from verifywise_mlflow.artifacts.stores import local_folder as folder_module
from verifywise_mlflow.artifacts.stores.local_folder import LocalFolderSource
from verifywise_mlflow.artifacts.stores.resolver import DirectSource
from verifywise_mlflow.artifacts.tree_walk import FileListing, walk
from verifywise_mlflow_tests.artifacts.stores.backends import open_stores
from verifywise_mlflow_tests.artifacts.trees import write_files


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """The tenant's root, next to files that must not be read."""
    write_files(tmp_path, {"secret.txt": "secret", "share/1/run/artifacts/model/MLmodel": "flavors: {}\n"})
    return tmp_path / "share"


def source_at(share: Path, uri: str) -> DirectSource | None:
    return open_stores({"prefix": "file:///mnt/mlflow", "root": str(share)}).open_root(uri)


def list_files(share: Path) -> FileListing:
    return walk(LocalFolderSource(share, (), timeout_seconds=10), "", ManifestLimits())


def content(source: ArtifactSource, path: str, max_bytes: int = 10**9) -> bytes:
    with source.read(path, max_bytes) as chunks:
        return b"".join(chunks)


@pytest.mark.parametrize(
    "uri",
    [
        "/mnt/mlflow/1/run/artifacts/model",
        "file:/mnt/mlflow/1/run/artifacts/model",
        "file:///mnt/mlflow/1/run/artifacts/model/",
        "file://localhost/mnt/mlflow/1/run/artifacts/model",
    ],
)
def test_a_location_is_found_in_every_form_that_mlflow_writes(share: Path, uri: str) -> None:
    source = source_at(share, uri)

    assert source is not None
    assert [(file.path, file.size) for file in walk(source, "", ManifestLimits()).files] == [("MLmodel", 12)]
    assert content(source, "MLmodel") == b"flavors: {}\n"


@pytest.mark.parametrize(
    "uri",
    [
        "/mnt/mlflow-2/x",
        "/mnt",
        "/mnt/mlflow/../secret.txt",
        "file:///mnt/mlflow/%2e%2e/secret.txt",
        "file:///mnt/mlflow/a%2f..%2f..%2fsecret.txt",
        "file://otherhost/mnt/mlflow/x",
        "mnt/mlflow/x",
        "dbfs:/mnt/mlflow/x",
        "mlflow-artifacts:/mnt/mlflow/x",
    ],
)
def test_other_locations_are_not_covered(share: Path, uri: str) -> None:
    assert source_at(share, uri) is None


def test_percent_signs_are_decoded_in_file_uris_only(share: Path) -> None:
    write_files(share, {"a b/x": "blank", "a%20b/x": "percent"})

    for uri, expected in [("file:///mnt/mlflow/a%20b", b"blank"), ("/mnt/mlflow/a%20b", b"percent")]:
        source = source_at(share, uri)
        assert source is not None
        assert content(source, "x") == expected


def test_links_are_reported_and_never_followed(share: Path) -> None:
    (share / "file-link").symlink_to(share.parent / "secret.txt")
    (share / "folder-link").symlink_to(share.parent)
    (share / "loop").symlink_to(share)
    (share / "dangling").symlink_to("nowhere")

    listing = list_files(share)

    assert [file.path for file in listing.files] == ["1/run/artifacts/model/MLmodel"]
    assert listing.problems == tuple(
        f"the root lists '{name}', refused: it is a symbolic link, not a file"
        for name in ("dangling", "file-link", "folder-link", "loop")
    )
    source = LocalFolderSource(share, (), timeout_seconds=10)
    for path in ("file-link", "folder-link/secret.txt", "loop/1/run/artifacts/model/MLmodel"):
        with pytest.raises(ArtifactReadError, match="symbolic link"):
            content(source, path)


def test_a_link_in_the_path_to_the_model_is_not_followed(share: Path) -> None:
    (share / "linked").symlink_to(share / "1")
    source = source_at(share, "/mnt/mlflow/linked/run/artifacts/model")

    assert source is not None
    listing = walk(source, "", ManifestLimits())

    assert not listing.is_root_listed
    assert listing.problems == ("the root could not be listed: 'linked' is a symbolic link, which is not followed",)


def test_a_root_that_is_a_link_is_not_followed(share: Path) -> None:
    linked = share.parent / "linked"
    linked.symlink_to(share)

    assert not list_files(linked).is_root_listed


def test_a_file_that_is_replaced_by_a_link_is_not_followed(share: Path) -> None:
    """The file is replaced between listing and reading, as an attacker with access to the share could do."""
    write_files(share, {"model/weights": "weights"})
    source = LocalFolderSource(share, (), timeout_seconds=10)
    assert len(walk(source, "", ManifestLimits()).files) == 2

    (share / "model/weights").unlink()
    (share / "model/weights").symlink_to(share.parent / "secret.txt")
    with pytest.raises(ArtifactReadError, match="symbolic link"):
        content(source, "model/weights")

    (share / "model").rename(share / "moved")
    (share / "model").symlink_to(share.parent)
    with pytest.raises(ArtifactReadError, match="symbolic link"):
        content(source, "model/secret.txt")


@pytest.fixture
def special_files(share: Path) -> Iterator[dict[str, str]]:
    """Entries that are neither files nor folders, with the kinds that messages name."""
    os.mkfifo(share / "fifo")
    kinds = {"fifo": "a FIFO"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(share / "socket"))
        kinds["socket"] = "a socket"
        try:
            os.mknod(share / "device", 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero, which never ends
            kinds["device"] = "a device"
        except PermissionError:
            pass  # only root may create devices
        yield kinds


def test_special_files_are_reported_and_never_opened(share: Path, special_files: dict[str, str]) -> None:
    listing = list_files(share)

    assert listing.problems == tuple(
        f"the root lists '{name}', refused: it is {special_files[name]}, not a file" for name in sorted(special_files)
    )
    for name, kind in special_files.items():
        with pytest.raises(ArtifactReadError, match=kind):
            content(LocalFolderSource(share, (), timeout_seconds=10), name)


@pytest.mark.parametrize("path", ["../secret.txt", "/etc/passwd", "a/../../secret.txt", "a//b", "", "a/", "nul\0"])
def test_a_path_traversal_is_refused(share: Path, path: str) -> None:
    with pytest.raises(ArtifactReadError, match="not normalized"):
        content(LocalFolderSource(share, (), timeout_seconds=10), path)


def test_a_name_that_is_not_valid_text_is_reported(share: Path) -> None:
    (share / os.fsdecode(b"caf\xe9")).write_bytes(b"")

    assert "refused: the path is not valid text" in list_files(share).problems[0]


def test_a_model_that_is_a_single_file_is_found_in_its_folder(share: Path) -> None:
    write_files(share, {"models/churn.pkl": "pickle"})
    model_source = open_stores({"prefix": "/mnt/mlflow", "root": str(share)}).open_model("/mnt/mlflow/models/churn.pkl")

    assert model_source is not None
    source, path = model_source
    assert (walk(source, path, ManifestLimits()).files, path) == ((), "churn.pkl")
    assert [file.path for file in walk(source, "", ManifestLimits()).files] == ["churn.pkl"]


def test_an_unmounted_share_is_a_retryable_error_and_not_empty(tmp_path: Path) -> None:
    source = LocalFolderSource(tmp_path / "nothing", ("1", "model"), timeout_seconds=10)

    listing = walk(source, "", ManifestLimits())

    assert not listing.is_root_listed
    assert listing.problems == ("the root could not be listed: No such file or directory",)
    assert source.has_retryable_failure


def test_a_missing_folder_has_no_files(share: Path) -> None:
    listing = walk(LocalFolderSource(share, ("missing",), timeout_seconds=10), "", ManifestLimits())

    assert (listing.is_root_listed, listing.files, listing.problems) == (True, (), ())


def test_reading_ends_at_max_bytes(share: Path) -> None:
    write_files(share, {"big": b"x" * 3_000_000})
    source = LocalFolderSource(share, (), timeout_seconds=10)

    assert len(content(source, "big", 2_000_001)) == 2_000_001


def test_a_read_that_takes_too_long_is_aborted(share: Path) -> None:
    write_files(share, {"big": b"x" * 3_000_000})

    with pytest.raises(ArtifactReadError, match="longer than the 0 seconds"):
        content(LocalFolderSource(share, (), timeout_seconds=0), "big")


def test_a_directory_with_too_many_entries_is_not_listed(share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MAX_ENTRIES", 2)
    write_files(share, {"many/1": "", "many/2": "", "many/3": ""})

    assert list_files(share).problems == ("'many' could not be listed: it has more than 2 entries, the limit",)


def test_no_descriptor_is_left_open(share: Path) -> None:
    (share / "link").symlink_to(share)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else None
    source = LocalFolderSource(share, ("1", "run"), timeout_seconds=10)

    for _ in range(3):
        walk(source, "", ManifestLimits())
        content(source, "artifacts/model/MLmodel")
        for path in ("missing", "artifacts", "artifacts/model/MLmodel/x"):
            with pytest.raises(ArtifactReadError):
                content(source, path)

    assert before is None or len(list(Path("/proc/self/fd").iterdir())) == before
