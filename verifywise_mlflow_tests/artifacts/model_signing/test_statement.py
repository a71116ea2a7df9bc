"""The statement exported from a manifest, compared with the statement of the reference implementation."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.file_classifier import classify_file
from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest, Root
from verifywise_mlflow.artifacts.model_signing.statement import (
    NotExportableError,
    Statement,
    export_statement,
    oms_statement,
)
from verifywise_mlflow.artifacts.model_signing.statement_reader import parse_statement
from verifywise_mlflow_tests.artifacts.model_signing.signed_folder import CURVES, bundle, hashes, payload


def manifest(files: dict[str, str], *, location: str | None = "s3://bucket/7/artifacts/classifier") -> ArtifactManifest:
    entries = tuple(file(path, sha256) for path, sha256 in sorted(files.items()))
    return ArtifactManifest(location, "complete", None, entries, None, "0" * 64)


def file(path: str, sha256: str | None, root: Root = "model", note: str | None = None) -> ArtifactFile:
    return ArtifactFile(root, path, 1, sha256, classify_file(path, root), note)


def by_reference(name: str) -> Statement:
    """Return a signed statement with sorted ignored paths. The reference implementation writes them in random order."""
    statement = cast("Statement", payload(bundle(name)))
    statement["predicate"]["serialization"]["ignore_paths"].sort()
    return statement


@pytest.mark.parametrize("name", [*(f"key-{curve}" for curve in CURVES), "certificate"])
def test_our_statement_equals_the_one_of_the_reference_implementation(name: str) -> None:
    assert json.loads(export_statement(manifest(hashes()))) == by_reference(name)


def test_signing_a_model_does_not_change_its_root_digest() -> None:
    unsigned = hashes()
    del unsigned["model.sig"]

    assert oms_statement(manifest(unsigned))["subject"] == by_reference("key-p256")["subject"]


def test_the_order_of_files_does_not_change_the_export() -> None:
    original = manifest(hashes())

    assert export_statement(original) == export_statement(replace(original, files=original.files[::-1]))


def test_other_files_of_the_run_are_not_part_of_the_model() -> None:
    model = manifest(hashes())
    with_run = replace(model, files=(*model.files, file("report.json", "0" * 64, "run"), file("big", None, "run")))

    assert export_statement(with_run) == export_statement(model)


@pytest.mark.parametrize(
    ("location", "name"),
    [("models:/m-0123", "m-0123"), ("runs:/7/model/", "model"), ("s3://bucket", "model"), (None, "model")],
)
def test_a_model_is_named_after_the_last_segment_of_its_location(location: str | None, name: str) -> None:
    statement = oms_statement(manifest({"MLmodel": "0" * 64}, location=location))

    assert statement["subject"][0]["name"] == name


@pytest.mark.parametrize(
    ("unfit", "expected_message"),
    [
        (replace(manifest(hashes()), status="partial", reason="run: too many files"), "partial, .*too many files"),
        (replace(manifest({}), status="unreachable", reason="no way there"), "unreachable, .*no way there"),
        (replace(manifest({}), files=(file("big.bin", None, note="not hashed: over the limit"),)), "'big.bin'.*limit"),
        (manifest({}), "no file"),
        (manifest({"model.sig": "0" * 64, ".git/config": "0" * 64}), "no file"),
        (manifest({"a/../b": "0" * 64}), "not a valid path"),
        (manifest({"\ud800": "0" * 64}), "not a valid path"),
    ],
)
def test_an_incomplete_manifest_is_not_exported(unfit: ArtifactManifest, expected_message: str) -> None:
    with pytest.raises(NotExportableError, match=expected_message):
        export_statement(unfit)


segments = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda segment: segment not in (".", "..")
)
paths = st.lists(segments, min_size=1, max_size=4).map("/".join)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.dictionaries(paths, digests, max_size=6).map(lambda files: {"MLmodel": "0" * 64, **files}))
def test_an_export_round_trips_through_the_statement_reader(files: dict[str, str]) -> None:
    signed = parse_statement(export_statement(manifest(files)))

    assert signed.sha256 == {path: sha256 for path, sha256 in files.items() if not signed.ignores(path)}
