from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    FileKind,
    ManifestGap,
    ModelSignature,
    ReadOutcome,
    Requirement,
    RuntimeEnvironment,
)
from verifywise_mlflow.artifacts.manifest_codec import manifest_from_json, manifest_to_json

text = st.text(max_size=10)
optional_text = st.none() | text
texts = st.lists(text, max_size=3).map(tuple)
requirements = st.builds(Requirement, name=text, specifier=text, source=text, pinned=st.booleans())
environments = st.builds(
    RuntimeEnvironment,
    python_version=optional_text,
    packages=st.lists(requirements, max_size=3).map(tuple),
    sources=texts,
    mlflow_version=optional_text,
    flavors=st.dictionaries(text, optional_text, max_size=3),
    serialization_format=optional_text,
    reproducible=st.booleans(),
    missing_pins=texts,
    model_size_bytes=st.none() | st.integers(0, 2**53),
    signature=st.none() | texts,
    problems=texts,
)
signatures = st.builds(
    ModelSignature,
    path=text,
    status=st.sampled_from(["valid", "mismatch", "untrusted", "invalid", "not verified"]),
    reason=optional_text,
    signer=optional_text,
    signed_count=st.none() | st.integers(0, 2**53),
    differences=texts,
)
entries = st.builds(
    ArtifactFile,
    root=st.sampled_from(["model", "run"]),
    path=text,
    size=st.none() | st.integers(0, 2**53),
    sha256=optional_text,
    kind=st.sampled_from(FileKind),
    note=optional_text,
    outcome=st.sampled_from(ReadOutcome),
)
manifests = st.builds(
    ArtifactManifest,
    location=optional_text,
    status=st.sampled_from(["complete", "partial", "unreachable", "none"]),
    reason=optional_text,
    files=st.lists(entries, max_size=3).map(tuple),
    environment=st.none() | environments,
    digest=optional_text,
    signatures=st.lists(signatures, max_size=2).map(tuple),
    not_listed=st.sampled_from([(), ("model",), ("model", "run")]),
    gap=st.sampled_from(ManifestGap),
)


@given(manifests)
def test_a_manifest_round_trips_through_json(manifest: ArtifactManifest) -> None:
    assert manifest_from_json(json.loads(json.dumps(manifest_to_json(manifest)))) == manifest


def test_the_json_keys_are_the_manifests_field_names() -> None:
    entry = ArtifactFile("model", "model.pkl", 3, None, FileKind.MODEL, "not hashed", ReadOutcome.OVER_LIMIT)

    assert manifest_to_json(ArtifactManifest("s3://b", "partial", "x", (entry,), None, None)) == {
        "location": "s3://b",
        "status": "partial",
        "reason": "x",
        "files": [
            {
                "root": "model",
                "path": "model.pkl",
                "size": 3,
                "sha256": None,
                "kind": "model binary",
                "note": "not hashed",
                "outcome": "over limit",
                "store_state": None,
            }
        ],
        "environment": None,
        "digest": None,
        "signatures": [],
        "not_listed": [],
        "gap": "none",
    }


def test_invalid_json_is_rejected() -> None:
    with pytest.raises(ValueError, match="status"):
        manifest_from_json({"location": None})
