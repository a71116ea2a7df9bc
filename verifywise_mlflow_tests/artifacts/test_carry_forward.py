from __future__ import annotations

from dataclasses import replace

import pytest

from verifywise_mlflow.artifacts.carry_forward import carry_forward
from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.integrity import changes_in_place
from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    FileKind,
    ManifestGap,
    ManifestStatus,
    ReadOutcome,
    Root,
)

OLD, NEW = "a" * 64, "b" * 64
ENVIRONMENT = read_environment({"requirements.txt": b"numpy==2.0\n"})


def file(path: str, sha256: str | None = OLD, size: int | None = 10, note: str | None = None) -> ArtifactFile:
    return ArtifactFile("model", path, size, sha256, FileKind.OTHER, note)


def manifest(
    *files: ArtifactFile,
    status: ManifestStatus = "complete",
    not_listed: tuple[Root, ...] = (),
    location: str = "s3://b/m",
) -> ArtifactManifest:
    reason = None if status == "complete" else "the store is down"
    environment = ENVIRONMENT if status == "complete" else None
    digest = "d" * 64 if status == "complete" else None
    return ArtifactManifest(location, status, reason, files, environment, digest, not_listed=not_listed)


EARLIER = manifest(file("MLmodel"), file("model.pkl"))
UNREACHABLE = replace(manifest(status="unreachable", not_listed=("model", "run")), gap=ManifestGap.FAILED)


def hashes(manifest: ArtifactManifest) -> dict[str, str | None]:
    return {file.path: file.sha256 for file in manifest.files}


@pytest.mark.parametrize("location", ["s3://b/m", "runs:/r1/model"])
def test_an_outage_of_the_store_loses_no_known_data(location: str) -> None:
    carried = carry_forward(replace(UNREACHABLE, location=location), EARLIER)

    assert hashes(carried) == hashes(EARLIER)
    assert (carried.status, carried.reason, carried.digest) == ("unreachable", "the store is down", None)
    assert carried.gap is ManifestGap.FAILED, "so that a reconcile reads the files again"
    assert carried.environment == ENVIRONMENT
    assert {file.note for file in carried.files} == {"carried forward from an earlier sync"}
    assert {file.outcome for file in carried.files} == {ReadOutcome.CARRIED_FORWARD}


def test_an_unreadable_file_keeps_its_earlier_hash_with_a_note() -> None:
    unreadable_file = file("model.pkl", None, note="not hashed: 503")

    carried = carry_forward(manifest(file("MLmodel"), unreadable_file, status="partial"), EARLIER)

    assert hashes(carried) == hashes(EARLIER)
    assert carried.files[1].note == "not hashed: 503; its hash is carried forward from an earlier sync"
    assert carried.status == "partial"


def test_a_hash_that_is_carried_forward_keeps_the_state_of_the_object_that_had_it() -> None:
    earlier = manifest(replace(file("model.pkl"), store_state="etag-1"))
    unreadable_file = replace(file("model.pkl", None, note="not hashed: 503"), store_state=None)

    carried = carry_forward(manifest(unreadable_file, status="partial"), earlier)

    assert carried.files[0].store_state == "etag-1", "so that an object which has changed meanwhile is read next time"


def test_a_file_of_another_size_does_not_keep_the_earlier_hash() -> None:
    carried = carry_forward(manifest(file("MLmodel"), file("model.pkl", None, size=11), status="partial"), EARLIER)

    assert hashes(carried) == {"MLmodel": OLD, "model.pkl": None}


@pytest.mark.parametrize(
    ("not_listed", "paths"),
    [((), {"MLmodel"}), (("run",), {"MLmodel"}), (("model",), {"MLmodel", "model.pkl"})],
)
def test_an_unlisted_file_is_removed_only_if_its_root_was_listed(not_listed: tuple[Root, ...], paths: set[str]) -> None:
    carried = carry_forward(manifest(file("MLmodel", None), status="partial", not_listed=not_listed), EARLIER)

    assert set(hashes(carried)) == paths


@pytest.mark.parametrize("lost", [UNREACHABLE, manifest(file("MLmodel"), file("model.pkl", None), status="partial")])
def test_an_outage_does_not_hide_a_change(lost: ArtifactManifest) -> None:
    after_the_outage = carry_forward(lost, EARLIER)

    changes = changes_in_place(after_the_outage, manifest(file("MLmodel"), file("model.pkl", NEW)))

    assert [(change.kind, change.path, change.former_sha256) for change in changes] == [("changed", "model.pkl", OLD)]


def test_a_complete_manifest_and_one_of_another_location_carry_nothing_forward() -> None:
    complete = manifest(file("model.pkl", NEW))
    other_location = manifest(file("model.pkl", None), status="partial", location="s3://b/other")

    assert carry_forward(complete, EARLIER) is complete
    assert carry_forward(other_location, EARLIER) is other_location


def test_an_emptied_folder_stays_empty() -> None:
    emptied = manifest(status="partial")

    assert carry_forward(emptied, EARLIER).files == ()
