"""Our manifest in the form of OpenSSF Model Signing, beside what the reference implementation made of the folder."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.file_classifier import classify
from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest, Root
from verifywise_mlflow.artifacts.model_signing.statement import NotExportableError, Statement, export, oms_statement
from verifywise_mlflow.artifacts.model_signing.statement_reader import read_statement
from verifywise_mlflow_tests.artifacts.model_signing.signed_folder import CURVES, bundle, hashes, payload


def manifest(files: dict[str, str], *, location: str | None = "s3://bucket/7/artifacts/classifier") -> ArtifactManifest:
    entries = tuple(file(path, sha256) for path, sha256 in sorted(files.items()))
    return ArtifactManifest(location, "complete", None, entries, None, "0" * 64)


def file(path: str, sha256: str | None, root: Root = "model", note: str | None = None) -> ArtifactFile:
    return ArtifactFile(root, path, 1, sha256, classify(path, root), note)


def by_reference(name: str) -> Statement:
    """A signed statement, with the ignored paths sorted: the reference implementation writes them at random."""
    statement = cast("Statement", payload(bundle(name)))
    statement["predicate"]["serialization"]["ignore_paths"].sort()
    return statement


@pytest.mark.parametrize("name", [*(f"key-{curve}" for curve in CURVES), "certificate"])
def test_our_statement_is_the_one_that_the_reference_implementation_signed(name: str) -> None:
    assert json.loads(export(manifest(hashes()))) == by_reference(name)


def test_before_it_is_signed_a_model_has_the_same_root_digest_as_after() -> None:
    unsigned = hashes()
    del unsigned["model.sig"]

    assert oms_statement(manifest(unsigned))["subject"] == by_reference("key-p256")["subject"]


def test_the_same_files_give_the_same_bytes_in_whatever_order_they_come() -> None:
    given_so = manifest(hashes())

    assert export(given_so) == export(replace(given_so, files=given_so.files[::-1]))


def test_what_else_the_run_has_is_no_part_of_the_model() -> None:
    model = manifest(hashes())
    with_run = replace(model, files=(*model.files, file("report.json", "0" * 64, "run"), file("big", None, "run")))

    assert export(with_run) == export(model)


@pytest.mark.parametrize(
    ("location", "name"),
    [("models:/m-0123", "m-0123"), ("runs:/7/model/", "model"), ("s3://bucket", "model"), (None, "model")],
)
def test_a_model_is_named_by_the_end_of_its_location(location: str | None, name: str) -> None:
    statement = oms_statement(manifest({"MLmodel": "0" * 64}, location=location))

    assert statement["subject"][0]["name"] == name


@pytest.mark.parametrize(
    ("unfit", "says"),
    [
        (replace(manifest(hashes()), status="partial", reason="run: too many files"), "partial, .*too many files"),
        (replace(manifest({}), status="unreachable", reason="no way there"), "unreachable, .*no way there"),
        (replace(manifest({}), files=(file("big.bin", None, note="not hashed: over the limit"),)), "'big.bin'.*limit"),
        (manifest({}), "no file"),
        (manifest({"model.sig": "0" * 64, ".git/config": "0" * 64}), "no file"),
        (manifest({"a/../b": "0" * 64}), "no name"),
        (manifest({"\ud800": "0" * 64}), "no name"),
    ],
)
def test_a_manifest_that_does_not_vouch_for_a_whole_model_is_not_exported(unfit: ArtifactManifest, says: str) -> None:
    with pytest.raises(NotExportableError, match=says):
        export(unfit)


segments = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda segment: segment not in (".", "..")
)
paths = st.lists(segments, min_size=1, max_size=4).map("/".join)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.dictionaries(paths, digests, max_size=6).map(lambda files: {"MLmodel": "0" * 64, **files}))
def test_what_we_export_we_read_as_a_sound_statement_on_the_same_files(files: dict[str, str]) -> None:
    signed = read_statement(export(manifest(files)))

    assert signed.sha256 == {path: sha256 for path, sha256 in files.items() if not signed.leaves_out(path)}
