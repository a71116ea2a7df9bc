"""Files are read at the same time: of several versions, of the versions of one run, and of one version with many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.faults import SHORT_TIMEOUTS
from verifywise_mlflow_tests.support.proxy import (
    FILE_ENDPOINTS,
    Exchange,
    Fault,
    late,
    proxy_before,
    reset_before_response,
)
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows, sync

FILES_OF_ONE_VERSION = 24


def versions_of_several_runs(registry: Registry) -> int:
    for number in range(4):
        run_id = registry.run(files={f"model/weights-{part}.bin": b"%d" % number for part in range(2)})
        registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")
    return 4 * 2


def versions_of_one_run(registry: Registry) -> int:
    files = {f"{folder}/weights-{part}.bin": folder.encode() for folder in ("a", "b", "c") for part in range(3)}
    run_id = registry.run(files=files)
    for folder in ("a", "b", "c", "a"):
        registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/{folder}")
    return 3 * 3  # each file once, although each manifest has all of them


def one_version(registry: Registry) -> int:
    run_id = registry.run(files={f"model/weights-{part}.bin": b"%d" % part for part in range(FILES_OF_ONE_VERSION)})
    registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")
    return FILES_OF_ONE_VERSION


@pytest.mark.parametrize("fill", [versions_of_several_runs, versions_of_one_run, one_version])
def test_files_are_read_at_the_same_time_each_once_and_the_manifests_are_as_if_read_in_turn(
    registry: Registry, tenant: Tenant, store: Store, fill: Callable[[Registry], int]
) -> None:
    file_count = fill(registry)
    with proxy_before(tenant.tracking_uri) as proxy:
        # Long enough for other threads to send their requests during the wait.
        proxy.fault = lambda exchange: late(0.1) if exchange.kind.endswith(FILE_ENDPOINTS) else None
        sync(tenant.model_copy(update={"tracking_uri": proxy.uri}), store)
        reads, most_at_once = proxy.requests_ending_with(FILE_ENDPOINTS), proxy.most_at_once
    in_turn = replace(tenant.limits, max_concurrent_requests=1)
    sync(tenant.model_copy(update={"tenant_id": "in-turn", "limits": in_turn}), store)

    assert most_at_once >= 3, "files are read at the same time"
    assert len(reads) == file_count
    manifests = rows(store, "artifact_manifests")
    together, one_by_one = (
        [(row["model_name"], row["version_number"], row["manifest"]) for row in manifests if row["tenant_id"] == owner]
        for owner in (tenant.tenant_id, "in-turn")
    )
    assert together == one_by_one
    assert {status(manifest) for *_, manifest in together} == {"complete"}


def test_threads_that_read_first_share_one_connection(registry: Registry, tenant: Tenant, store: Store) -> None:
    versions_of_several_runs(registry)
    with Sync(tenant, store) as listings:
        for stage in (Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS, Stage.TRAINING_RUNS):
            listings.run(stage)

    with proxy_before(tenant.tracking_uri) as proxy:
        with Sync(tenant.model_copy(update={"tracking_uri": proxy.uri}), store) as files:
            assert files.run(Stage.ARTIFACT_MANIFESTS).progress.changed == 4
        assert len(proxy.requests_ending_with(("/version",))) == 1, "each connection asks for the server's version"


def test_an_outage_while_versions_are_read_costs_only_those_that_were_not_read(
    registry: Registry, tenant: Tenant, store: Store, without_pauses: None
) -> None:
    for number in range(8):
        run_id = registry.run(files={"model/weights.bin": b"%d" % number})
        registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")
    with proxy_before(tenant.tracking_uri) as proxy:
        proxied = tenant.model_copy(update={"tracking_uri": proxy.uri, "limits": SHORT_TIMEOUTS})

        def fail_after_two_files(exchange: Exchange) -> Fault | None:
            is_down = len(proxy.requests_ending_with(FILE_ENDPOINTS)) > 2
            return reset_before_response if is_down and "artifact" in exchange.path else None

        proxy.fault = fail_after_two_files
        stopped = sync(proxied, store)
        kept = {row["version_number"]: row["manifest"] for row in rows(store, "artifact_manifests")}
        proxy.fault = lambda _: None
        sync(proxied, store)
    after = {row["version_number"]: row["manifest"] for row in rows(store, "artifact_manifests")}

    complete = {number for number, manifest in kept.items() if status(manifest) == "complete"}
    assert 1 <= len(complete) <= 2
    assert stopped.reports[3].progress.incomplete == 8 - len(complete)
    assert [status(manifest) for manifest in after.values()] == ["complete"] * 8
    assert {number: after[number] for number in complete} == {number: kept[number] for number in complete}


def status(manifest: object) -> object:
    assert isinstance(manifest, dict)
    return manifest["status"]
