"""A version with thousands of files, metrics and parameters is packed in bounded time and size; the JSON has all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest, FileKind
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel, TrainingRun
from verifywise_mlflow.documents.pack.archive import build_pack
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.documents.pack.packed_versions import HOSTILE, contents_of, files_of, json_of
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, one_rule_compliance, tenant_with_policies
from verifywise_mlflow_tests.support.stored_states import day, write_record

FILES, PAIRS = 2_000, 3_000


@pytest.mark.slow(seconds=15)
def test_a_pack_is_bounded_however_large_the_version_is(store: Store, tmp_path: Path) -> None:
    files = tuple(
        ArtifactFile("model", f"{number:04}-{HOSTILE}".replace("/", "-"), number, f"{number:064x}", FileKind.OTHER)
        for number in range(FILES)
    )
    run = TrainingRun(
        "a" * 32,
        status="FINISHED",
        metrics={f"{number} {HOSTILE}": number / 7 for number in range(PAIRS)},
        params={f"{number} {HOSTILE}": HOSTILE * 3 for number in range(PAIRS)},
    )
    version = ModelVersion("large", 1, run_id=run.run_id, description=HOSTILE * 1_000)
    manifest = ArtifactManifest("s3://b/large", "complete", None, files, None, "d" * 64)
    write_record(
        store, RecordInputs(version=version, model=RegisteredModel("large"), run=run, manifest=manifest), day(1)
    )
    tenant = tenant_with_policies().model_copy(update={"compliance": one_rule_compliance(tmp_path)})
    evaluate(tenant, store, day(2))

    started = time.process_time()
    archive = build_pack(contents_of(store, ("large", 1)))
    seconds = time.process_time() - started

    packed = files_of(archive)
    assert seconds < 30
    assert len(archive) < 40 * 1024**2
    assert len(packed["index.html"]) < 1024**2
    assert len(packed["index.pdf"]) < 2 * 1024**2
    assert len(json_of(packed, "record.json")["record"]["metrics"]) == PAIRS
    assert len(json_of(packed, "bom.cdx.json")["metadata"]["component"]["components"]) == FILES
    assert f"{PAIRS - 100:,} of {PAIRS:,} rows are left out here" in packed["index.html"].decode()
