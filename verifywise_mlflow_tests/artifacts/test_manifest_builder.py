from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.caching_source import CachingSource
from verifywise_mlflow.artifacts.file_classifier import FilePattern
from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.location import LoggedModelFiles, ModelLocation, NoFiles, RunFiles, UnreachableFiles
from verifywise_mlflow.artifacts.manifest import ArtifactManifest, FileKind, ManifestGap, ReadOutcome
from verifywise_mlflow.artifacts.manifest_builder import build_manifest, manifest_digest
from verifywise_mlflow.artifacts.manifest_entries import HASHING_OFF_NOTE
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.source import ArtifactSource
from verifywise_mlflow_tests.artifacts.trees import HostileSource, LocalSource, file, write_files

RUN = "r1"
RUN_FILES = RunFiles(RUN, "model", "mlflow-artifacts:/1/r1/artifacts/model")
LOGGED = LoggedModelFiles("m-1", "mlflow-artifacts:/1/models/m-1/artifacts")
FILES: dict[str, bytes | str] = {
    "model/MLmodel": "flavors: {python_function: {python_version: 3.11.7}}\n",
    "model/requirements.txt": "numpy==2.0\n",
    "model/model.pkl": b"\x80\x05weights that are longer than a chunk",
    "metrics.json": "{}",
    "plots/roc.png": "",
}

SANDBOX = Sandbox()
"""The workers of the sandbox start on first use."""


@pytest.fixture(scope="module", autouse=True)
def _end_of_the_sandbox() -> Iterator[None]:
    yield
    SANDBOX.close()


def build(
    location: ModelLocation,
    model_files: ArtifactSource | None,
    run_files: ArtifactSource | None = None,
    *,
    limits: ManifestLimits | None = None,
    hash_files: bool = True,
    patterns: Sequence[FilePattern] = (),
) -> ArtifactManifest:
    return build_manifest(
        location,
        model_files,
        run_files,
        model_path=location.path if isinstance(location, RunFiles) else "",
        limits=limits or ManifestLimits(),
        hash_files=hash_files,
        sandbox=SANDBOX,
        patterns=patterns,
    )


@pytest.fixture
def run_tree(tmp_path: Path) -> LocalSource:
    return write_files(tmp_path, FILES)


def test_a_model_inside_its_run_is_listed_once_with_every_hash(run_tree: LocalSource) -> None:
    manifest = build(RUN_FILES, run_tree, run_tree)

    assert manifest.status == "complete"
    assert manifest.reason is None
    assert manifest.location == RUN_FILES.uri
    assert [(file.root, file.path, file.kind) for file in manifest.files] == [
        ("model", "MLmodel", FileKind.MLMODEL),
        ("model", "model.pkl", FileKind.MODEL),
        ("model", "requirements.txt", FileKind.ENVIRONMENT),
        ("run", "metrics.json", FileKind.EVALUATION),
        ("run", "plots/roc.png", FileKind.PLOT),
    ]
    for entry in manifest.files:
        content = (run_tree.folder / ("model" if entry.root == "model" else "") / entry.path).read_bytes()
        assert (entry.size, entry.sha256, entry.note) == (len(content), hashlib.sha256(content).hexdigest(), None)
    assert manifest.environment is not None
    assert manifest.environment.reproducible
    assert sorted(run_tree.opened) == sorted(FILES), "each file is read once, also those that are parsed"


def test_a_logged_model_is_listed_separately_from_its_run(tmp_path: Path) -> None:
    model = write_files(tmp_path / "m", {"MLmodel": "", "data/model.pth": "w"})
    run = write_files(tmp_path / "r", {"model_card.md": "hello"})

    manifest = build(LOGGED, model, run)

    assert [(file.root, file.path) for file in manifest.files] == [
        ("model", "MLmodel"),
        ("model", "data/model.pth"),
        ("run", "model_card.md"),
    ]
    assert manifest.status == "complete"


def test_a_run_that_two_versions_share_is_listed_and_read_once(tmp_path: Path) -> None:
    tree = write_files(tmp_path, {"one/MLmodel": "", "two/MLmodel": "", "metrics.json": "{}"})
    shared = CachingSource(tree)

    first = build(RunFiles(RUN, "one", "u/one"), shared, shared)
    second = build(RunFiles(RUN, "two", "u/two"), shared, shared)

    assert [file.path for file in first.files] == ["MLmodel", "metrics.json", "two/MLmodel"]
    assert [file.path for file in second.files] == ["MLmodel", "metrics.json", "one/MLmodel"]
    assert len(tree.listed) == len(set(tree.listed))
    assert tree.opened.count("metrics.json") == 1


def test_a_model_that_is_the_whole_run_leaves_no_run_files(run_tree: LocalSource) -> None:
    manifest = build(RunFiles(RUN, "", "u"), run_tree, run_tree)

    assert {file.root for file in manifest.files} == {"model"}
    assert len(manifest.files) == len(FILES)


def test_a_version_whose_source_is_a_single_file_has_that_file(tmp_path: Path) -> None:
    tree = write_files(tmp_path, {"out/model.pkl": "w", "out/notes.txt": ""})

    manifest = build(RunFiles(RUN, "out/model.pkl", "runs:/r1/out/model.pkl"), tree, tree)

    assert [(file.root, file.path) for file in manifest.files] == [("model", "model.pkl"), ("run", "out/notes.txt")]
    assert manifest.status == "complete"


def test_an_empty_model_folder_is_reported(tmp_path: Path) -> None:
    manifest = build(LOGGED, LocalSource(tmp_path))

    assert manifest.status == "partial"
    assert manifest.reason == f"the server lists no files at {LOGGED.uri}"
    assert manifest.gap is ManifestGap.NO_FILES
    assert manifest.digest is None
    assert manifest.environment is None


def test_a_model_without_environment_files_is_reported(tmp_path: Path) -> None:
    manifest = build(LOGGED, write_files(tmp_path, {"model.pkl": "w"}))

    assert manifest.environment is not None
    assert "no environment file" in manifest.environment.missing_pins


def test_without_hashing_only_environment_files_are_opened(run_tree: LocalSource) -> None:
    manifest = build(RUN_FILES, run_tree, run_tree, hash_files=False)

    assert sorted(run_tree.opened) == ["model/MLmodel", "model/requirements.txt"]
    assert manifest.status == "complete"
    assert manifest.digest is None
    assert {file.note for file in manifest.files if file.sha256 is None} == {HASHING_OFF_NOTE}
    assert {file.outcome for file in manifest.files if file.sha256 is None} == {ReadOutcome.HASHING_OFF}
    assert [file.size for file in manifest.files if file.path == "model.pkl"] == [len(FILES["model/model.pkl"])]


@pytest.mark.parametrize("limits", [ManifestLimits(max_file_bytes=10), ManifestLimits(max_total_bytes=80)])
def test_files_over_a_limit_are_listed_with_a_note(run_tree: LocalSource, limits: ManifestLimits) -> None:
    manifest = build(RUN_FILES, run_tree, run_tree, limits=limits)

    model = next(file for file in manifest.files if file.path == "model.pkl")
    assert model.sha256 is None
    assert model.size == len(FILES["model/model.pkl"])
    assert model.note is not None
    assert "over the limit" in model.note
    assert model.outcome is ReadOutcome.OVER_LIMIT
    assert manifest.gap is ManifestGap.LIMIT
    assert manifest.status == "partial"
    assert manifest.reason is not None
    assert "model.pkl" in manifest.reason
    assert "model/model.pkl" not in run_tree.opened


def test_bytes_of_another_size_than_listed_are_not_hashed_as_the_file() -> None:
    listed = {"": [file("model.pkl", 3), file("requirements.txt", 4)]}
    manifest = build(LOGGED, HostileSource(listed, b"12345"))

    assert [(file.path, file.size, file.sha256) for file in manifest.files] == [
        ("model.pkl", 3, None),
        ("requirements.txt", 4, None),
    ]
    assert manifest.files[0].note == "not hashed: listed with 3 bytes, but 5 were served"
    assert manifest.status == "partial"
    assert manifest.environment is not None
    assert manifest.environment.packages == ()


def test_a_small_listed_size_does_not_bypass_the_limit() -> None:
    manifest = build(
        LOGGED, HostileSource({"": [file("model.pkl", 3)]}, b"x" * 100), limits=ManifestLimits(max_file_bytes=50)
    )

    assert manifest.files[0].sha256 is None
    assert manifest.status == "partial"


def test_a_file_name_that_mentions_a_limit_does_not_make_the_manifest_limited(tmp_path: Path) -> None:
    name = "x not hashed: over the limit of 1 bytes"
    tree = CachingSource(write_files(tmp_path, {name: "w"}))
    tree.list_directory("")
    (tmp_path / name).unlink()

    manifest = build(LOGGED, tree, LocalSource(tmp_path))

    assert {file.path: file.outcome for file in manifest.files} == {name: ReadOutcome.FAILED}
    assert manifest.gap is ManifestGap.FAILED


def test_a_file_that_cannot_be_read_is_listed_with_the_reason(tmp_path: Path) -> None:
    tree = CachingSource(write_files(tmp_path, {"model.pkl": "w", "conda.yaml": "x"}))
    tree.list_directory("")
    (tmp_path / "conda.yaml").unlink()  # between listing and reading, as a clean-up job would

    manifest = build(LOGGED, tree)

    unreadable_file = next(file for file in manifest.files if file.path == "conda.yaml")
    assert unreadable_file.note == "not hashed: No such file or directory"
    assert manifest.status == "partial"
    assert manifest.environment is not None
    assert manifest.environment.problems == ("conda.yaml: No such file or directory",)


def test_an_unreachable_source_still_lists_the_runs_files(run_tree: LocalSource) -> None:
    location = UnreachableFiles("dbfs:/x", "dbfs:/x is served by nobody here")

    alone = build(location, None)
    with_run = build(location, None, run_tree)

    assert (alone.status, alone.reason, alone.files) == ("unreachable", location.reason, ())
    assert (with_run.status, with_run.reason, len(with_run.files)) == ("partial", location.reason, len(FILES))


def test_a_version_without_source_has_no_files() -> None:
    manifest = build(NoFiles("no source"), None)

    assert (manifest.status, manifest.reason, manifest.location) == ("none", "no source", None)


def test_a_server_that_lists_nothing_at_all_is_unreachable() -> None:
    manifest = build(LOGGED, HostileSource({}))

    assert manifest.status == "unreachable"
    assert manifest.reason == "model: the root could not be listed: 500 Internal Server Error"


def test_the_digest_depends_on_every_byte_and_on_no_order(run_tree: LocalSource) -> None:
    before = build(RUN_FILES, run_tree, run_tree)
    (run_tree.folder / "model/model.pkl").write_bytes(b"\x80\x05weights that are longer than a chunl")
    after = build(RUN_FILES, run_tree, run_tree)

    assert before.digest == manifest_digest(reversed(before.files))
    assert before.digest != after.digest


def test_after_the_timeout_files_are_listed_without_hashes(run_tree: LocalSource) -> None:
    manifest = build(RUN_FILES, run_tree, run_tree, limits=ManifestLimits(timeout_s=0))

    notes = {file.path: file.note for file in manifest.files if file.sha256 is None}
    assert set(notes) == {"model.pkl", "metrics.json", "plots/roc.png"}
    assert set(notes.values()) == {"not hashed: over the limit of 0 seconds for one version"}
    assert manifest.status == "partial"
    assert manifest.digest is None


def test_a_tenants_patterns_take_precedence_over_the_defaults(run_tree: LocalSource) -> None:
    patterns = (FilePattern(FileKind.BIAS_REPORT, names=("roc.*",)),)

    kinds = {file.path: file.kind for file in build(RUN_FILES, run_tree, run_tree, patterns=patterns).files}

    assert kinds["plots/roc.png"] is FileKind.BIAS_REPORT
    assert kinds["MLmodel"] is FileKind.MLMODEL
