"""Whole syncs through a proxy that spoils a real server's answers: they complete, or fail clearly, and lose nothing.

A fault that passes leaves no trace in the records. One that stays ends the sync in a sentence, in seconds, and what
is stored stays as it was. A second tenant at the same server does not notice either.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from verifywise_mlflow.connector.errors import ConnectorError
from verifywise_mlflow.connector.settings import Bounds
from verifywise_mlflow.demo.ports import free_port
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.stage import SyncOptions
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.syncing import Row, rows, sync
from verifywise_mlflow_tests.proxy import (
    Fault,
    Proxy,
    always,
    dripping,
    gzip_bomb,
    huge,
    late,
    once_for_each_kind,
    proxy_before,
    reset_before_answer,
    reset_within_answer,
    saying,
    silent,
    truncated,
)
from verifywise_mlflow_tests.registry import MODEL_FILES, Registry

EVERYTHING = SyncOptions(reconcile=True, rehash=True)
HASTY = Bounds(connect_seconds=2, probe_seconds=2, request_seconds=2, file_seconds=2, answer_bytes=8 * 1024**2)
"""Bounds that a test can wait for; a small registry's answers take a tenth of a second."""
SECONDS = 20.0
"""What a fault may cost: seconds, not minutes. With these bounds most cost less than one."""
TENANTS_OWN = {"tenant_id", "changed_at", "revision", "evaluated_at", "read_for_revision", "sync_id", "open_since"}

KINDS = {
    "/api/3.0/mlflow/server-info",
    "/version",
    "registered-models/search",
    "model-versions/search",
    "experiments/search",
    "runs/search",
    "logged-models/search",
    "artifacts/list",
    "logged-models/{id}/artifacts/directories",
    "/get-artifact",
    "/ajax-api/2.0/mlflow/logged-models/{id}/artifacts/files",
}
"""The kinds of questions that a whole sync asks."""

MIB, GIB = 1024**2, 1024**3
LOGIN_PAGE = saying(200, "<html><body>Please log in</body></html>", "text/html")

PASSING: dict[str, Fault] = {
    "late": late(0.2),
    "reset before the answer": reset_before_answer,
    "reset within the answer": reset_within_answer,
    "truncated": truncated,
    "dripping": dripping(0.01),
    "429 at once": saying(429, Retry_After="0"),
    "429 in a second": saying(429, Retry_After="1"),
    "429 without a time": saying(429),
    "503 with a time": saying(503, Retry_After="0"),
    "503 of a gateway": saying(503, "<html>no server is available</html>", "text/html"),
    "502 of a gateway": saying(502, "<html>bad gateway</html>", "text/html"),
}
"""Faults that trying again cures."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """A fault that stays, and what the tenant's people are told of it."""

    fault: Fault
    told: str
    """A regular expression."""


LASTING = {
    "silent": Lasting(silent, "did not answer|no answer in time"),
    "reset before the answer": Lasting(reset_before_answer, "did not answer"),
    "reset within the answer": Lasting(reset_within_answer, "broke off"),
    "truncated": Lasting(truncated, "broke off"),
    "dripping": Lasting(dripping(0.4), "took longer for an answer than the 2 seconds|no answer in time"),
    "429": Lasting(saying(429, Retry_After="1"), "answered 429"),
    "429 in an hour": Lasting(saying(429, Retry_After="3600"), "answered 429"),
    "503": Lasting(saying(503), "answered 503"),
    "500": Lasting(saying(500), "answered 500"),
    "login page": Lasting(LOGIN_PAGE, "text/html.*not JSON"),
    "empty": Lasting(saying(200, ""), "no JSON.*empty body"),
    "empty without a type": Lasting(saying(200, "", None), "no content type, not JSON"),
    "redirect": Lasting(saying(302, "", None, Location="http://elsewhere.example/login"), "a redirect"),
    "redirect of a POST": Lasting(saying(307, "", None, Location="http://elsewhere.example/login"), "a redirect"),
    "huge": Lasting(huge(512 * MIB), "sent more than"),
    "gzip bomb": Lasting(gzip_bomb(4096 * MIB), "sent more than"),
    # An MLflow before 3.17 says the same of the probe.
    "not MLflow": Lasting(saying(404, "<html>not found</html>", "text/html"), "tracking URI|keeps no workspaces"),
    "forbidden": Lasting(saying(403, "Permission denied", "text/html"), "answered 403"),
    "unauthenticated": Lasting(saying(401, "You are not authenticated", "text/html"), "answered 401"),
}


@pytest.fixture
def full_registry(registry: Registry, tmp_path: Path) -> Registry:
    """A version of each kind: with its files in a run, in a logged model, and copied from another model's."""
    client = registry.client
    registry.trained_version("churn")
    run_id = registry.run(metrics={"auc": 0.7}, tags={"owner": "ada"})
    files = tmp_path / "logged model"
    files.mkdir()
    for name, content in MODEL_FILES.items():
        (files / name).write_bytes(content)
    model_id = client.create_logged_model(client.get_run(run_id).info.experiment_id, "model", run_id).model_id
    client.log_model_artifacts(model_id, str(files))
    client.create_registered_model("fraud")
    client.create_model_version("fraud", f"models:/{model_id}", run_id, await_creation_for=0, model_id=model_id)
    registry.version("copied", source="models:/fraud/1")
    for model in ("churn", "fraud"):
        client.set_registered_model_alias(model, "champion", "1")
    return registry


@pytest.fixture
def proxy(mlflow_uri: str) -> Iterator[Proxy]:
    with proxy_before(mlflow_uri) as proxy:
        yield proxy


@pytest.fixture
def shaken(tenant: Tenant, proxy: Proxy) -> Tenant:
    """A tenant whose way to the server leads through the proxy."""
    return tenant.model_copy(update={"tenant_id": "shaken", "tracking_uri": proxy.uri})


@pytest.fixture
def hasty(shaken: Tenant) -> Tenant:
    """The same tenant with bounds that a test can wait for."""
    return shaken.model_copy(update={"bounds": HASTY})


@pytest.fixture
def calm(tenant: Tenant) -> Tenant:
    """A tenant with a clean way to the same server."""
    return tenant.model_copy(update={"tenant_id": "calm"})


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random pauses between two tries are as short as they may be; what a server asks for is waited for."""
    monkeypatch.setattr("random.uniform", lambda least, _most: least)


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_leaves_no_trace_in_the_records(
    name: str, full_registry: Registry, calm: Tenant, shaken: Tenant, proxy: Proxy, store: Store, without_pauses: None
) -> None:
    sync(calm, store)
    # Every kind of question meets it once: the probe, each listing, each search, each artifact call.
    proxy.fault = once_for_each_kind(PASSING[name])

    sync(shaken, store)

    assert kinds_of(proxy) == KINDS
    assert kept_of(store, "shaken") == kept_of(store, "calm")
    assert last_entry(store, "shaken")["outcome"] == last_entry(store, "calm")["outcome"]


def test_an_error_of_the_server_that_passes_leaves_no_trace_in_the_records(
    full_registry: Registry, calm: Tenant, shaken: Tenant, proxy: Proxy, store: Store, without_pauses: None
) -> None:
    sync(calm, store)
    # At an artifact, 500 is MLflow's ordinary answer for a store that cannot be read: see the next test.
    proxy.fault = once_for_each_kind(saying(500), sparing="artifact")

    sync(shaken, store)

    assert kinds_of(proxy) == KINDS
    assert kept_of(store, "shaken") == kept_of(store, "calm")


@pytest.mark.parametrize("name", ["500", "login page", "huge"])
def test_what_no_second_try_would_cure_is_gone_after_the_next_reconcile(
    name: str,
    full_registry: Registry,
    calm: Tenant,
    hasty: Tenant,
    proxy: Proxy,
    store: Store,
    without_pauses: None,
) -> None:
    sync(calm, store)
    proxy.fault = once_for_each_kind(LASTING[name].fault)
    # One kind of question after the other meets it, since most of them end the sync.
    for _ in KINDS:
        with suppress(ConnectorError):
            sync(hasty, store, EVERYTHING)
        if kinds_of(proxy) >= KINDS:
            break
    assert kinds_of(proxy) >= KINDS

    sync(hasty, store, EVERYTHING)

    assert kept_of(store, "shaken") == kept_of(store, "calm")


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_stays_ends_the_sync_in_a_sentence_and_takes_nothing_away(
    name: str, full_registry: Registry, hasty: Tenant, proxy: Proxy, store: Store, without_pauses: None
) -> None:
    sync(hasty, store)
    before = kept_of(store, "shaken")
    proxy.fault = always(LASTING[name].fault)

    with pytest.raises(ConnectorError), at_most(SECONDS):
        sync(hasty, store, EVERYTHING)

    assert kept_of(store, "shaken") == before
    entry = last_entry(store, "shaken")
    assert entry["outcome"] == "failed"
    assert re.search(LASTING[name].told, str(entry["reason"]))


@pytest.mark.parametrize(
    "ending",
    ["registered-models/search", "model-versions/search", "experiments/search", "logged-models/search", "runs/search"],
)
@pytest.mark.parametrize("name", ["503", "login page"])
def test_a_fault_at_one_kind_of_question_takes_nothing_away(
    name: str,
    ending: str,
    full_registry: Registry,
    hasty: Tenant,
    proxy: Proxy,
    store: Store,
    without_pauses: None,
) -> None:
    sync(hasty, store)
    before = kept_of(store, "shaken")
    proxy.fault = always(LASTING[name].fault, ending)

    with at_most(SECONDS), suppress(ConnectorError):
        sync(hasty, store, EVERYTHING)

    assert kept_of(store, "shaken") == before
    entry = last_entry(store, "shaken")
    # What a search does not give is asked for one by one, unless the server is overburdened anyway.
    if ending in {"logged-models/search", "runs/search"} and name != "503":
        assert entry["outcome"] == "complete"
    else:
        assert entry["outcome"] == "failed"
        assert re.search(LASTING[name].told, str(entry["reason"]))


@pytest.mark.parametrize("ending", ["artifacts/list", "artifacts/directories", "get-artifact", "artifacts/files"])
@pytest.mark.parametrize("name", ["503", "truncated"])
def test_artifacts_that_cannot_be_read_again_stay_as_they_were_read_before(
    name: str,
    ending: str,
    full_registry: Registry,
    hasty: Tenant,
    proxy: Proxy,
    store: Store,
    without_pauses: None,
) -> None:
    sync(hasty, store)
    files, verdicts = files_of(store), verdicts_of(store)
    proxy.fault = always(LASTING[name].fault, ending)

    with at_most(SECONDS):
        sync(hasty, store, EVERYTHING)

    entry = last_entry(store, "shaken")
    assert entry["outcome"] == "incomplete"
    assert any(re.search(LASTING[name].told, reason) for reason in unreadable(store))
    assert_only_made_less_sure(verdicts_of(store), verdicts)
    assert files_of(store) == files


@pytest.mark.parametrize("ending", ["get-artifact", "artifacts/files"])
@pytest.mark.parametrize("name", ["login page", "empty"])
def test_what_a_gateway_says_in_place_of_a_file_is_not_taken_for_the_file(
    name: str,
    ending: str,
    full_registry: Registry,
    hasty: Tenant,
    proxy: Proxy,
    store: Store,
    without_pauses: None,
) -> None:
    sync(hasty, store)
    files, verdicts = files_of(store), verdicts_of(store)
    proxy.fault = always(LASTING[name].fault, ending)

    sync(hasty, store, EVERYTHING)

    assert last_entry(store, "shaken")["outcome"] == "incomplete"
    assert_only_made_less_sure(verdicts_of(store), verdicts)
    assert files_of(store) == files


def test_an_outage_does_not_count_down_in_what_is_stored(
    full_registry: Registry, hasty: Tenant, proxy: Proxy, store: Store, without_pauses: None
) -> None:
    proxy.fault = always(saying(503), "get-artifact")

    sync(hasty, store)

    # Words with the seconds that are left differ from sync to sync: records would be written anew each time.
    kept = [*unreadable(store), *(str(row) for row in rows(store, "canonical_records"))]
    assert any("503" in words for words in kept)
    assert [words for words in kept if re.search(r"another \d+ seconds", words)] == []


@pytest.mark.parametrize("name", ["silent", "dripping", "huge", "503", "reset within the answer"])
def test_a_second_tenant_at_the_same_time_is_untouched(
    name: str,
    full_registry: Registry,
    calm: Tenant,
    hasty: Tenant,
    proxy: Proxy,
    store: Store,
    database_url: str,
) -> None:
    began = time.monotonic()
    sync(calm, store)
    alone = time.monotonic() - began
    before = kept_of(store, "calm")
    proxy.fault = always(LASTING[name].fault)
    other = Store(database_url)

    with closing(other), ThreadPoolExecutor(1) as pool:
        broken = pool.submit(sync, hasty, other, EVERYTHING)
        began = time.monotonic()
        again = sync(calm, store, EVERYTHING)
        beside = time.monotonic() - began
        with pytest.raises(ConnectorError):
            broken.result()

    assert kept_of(store, "calm") == before
    assert again.reports[3].progress.read == 3, "all artifacts were read anew"
    assert last_entry(store, "calm")["outcome"] == "complete"
    assert beside < 3 * alone + 3


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [("registered-models/search", "failed"), ("runs/search", "complete"), ("get-artifact", "incomplete")],
)
@pytest.mark.parametrize("fault", [huge(8 * GIB), gzip_bomb(8 * GIB)], ids=["huge", "gzip-bomb"])
def test_a_flood_ends_at_a_bound_with_little_memory(
    fault: Fault,
    ending: str,
    outcome: str,
    full_registry: Registry,
    proxy: Proxy,
    tenants_file: Path,
    mlflow_uri: str,
    tmp_path: Path,
) -> None:
    # A process of its own, with the settings that everybody has: memory is that of a whole process.
    described = (
        tenants_file.read_text()
        .replace(mlflow_uri, proxy.uri)
        .replace("true}", "true, artifacts: {max_file_bytes: 100000000}}")
    )
    tenants_file.write_text(described)
    proxy.fault = always(fault, ending)

    with at_most(60), (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "verifywise_mlflow.cli", "sync", "acme", "--json"], stdout=said, stderr=said
        )
        peak = 0
        while process.poll() is None:
            # Not ru_maxrss, which begins with the memory of the tests that the process was forked from.
            with suppress(OSError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = max(peak, *(int(found) for found in re.findall(r"VmHWM:\s+(\d+) kB", status)), 0)
            time.sleep(0.02)
        said.seek(0)
        told = json.loads(said.read())

    assert proxy.asked(ending), "the flood was met"
    assert told["outcome"] == outcome
    assert 0 < peak * 1024 < 500 * MIB


def test_a_tenant_whose_port_is_closed_costs_seconds(tenant: Tenant, store: Store) -> None:
    dead = tenant.model_copy(update={"tracking_uri": f"http://127.0.0.1:{free_port()}"})

    with at_most(30), pytest.raises(ConnectorError, match="refused"):
        sync(dead, store)


def test_a_tenant_whose_server_never_answers_costs_seconds(shaken: Tenant, proxy: Proxy, store: Store) -> None:
    proxy.fault = always(silent)

    with at_most(30), pytest.raises(ConnectorError, match="no answer in time"):
        sync(shaken, store)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """The block has to end in time, however it ends."""
    began = time.monotonic()
    try:
        yield
    finally:
        took = time.monotonic() - began
        assert took < seconds, f"it took {took:.1f} seconds"


def kept_of(store: Store, tenant_id: str) -> dict[str, list[Row]]:
    """What is kept of a tenant, without what is a tenant's own: its name, times and revisions."""
    orders = {
        "registered_models": "model_name",
        "canonical_records": "model_name, version_number",
        "compliance_results": "model_name, version_number, rule_id",
        "training_runs": "run_id",
        "logged_models": "model_id",
    }
    return {
        table: [
            {name: value for name, value in row.items() if name not in TENANTS_OWN}
            for row in rows(store, table, order)
            if row["tenant_id"] == tenant_id
        ]
        for table, order in orders.items()
    }


def last_entry(store: Store, tenant_id: str) -> Row:
    """The last entry of a sync in the tenant's audit trail."""
    entries = [
        row
        for row in rows(store, "audit_entries", "occurred_at")
        if row["tenant_id"] == tenant_id and row["kind"] == "sync ended"
    ]
    return entries[-1]


def kinds_of(proxy: Proxy) -> set[str]:
    """The kinds of questions that were asked, by the ends of their paths."""
    return {exchange.kind.removeprefix("/api/2.0/mlflow/") for exchange in proxy.exchanges}


def files_of(store: Store) -> dict[object, tuple[object, ...]]:
    """What the records say of each version's files and of what they need; not whether they could be read again."""
    return {
        row["model_name"]: (
            [tuple(file[part] for part in ("root", "path", "size", "sha256")) for file in _listed(row)],
            row["runtime_environment"],
            row["evidence_files"],
        )
        for row in rows(store, "canonical_records")
    }


def _listed(row: Row) -> list[dict[str, object]]:
    manifest = row["artifact_manifest"]
    assert isinstance(manifest, dict)
    return list(manifest["files"])


def assert_only_made_less_sure(now: Mapping[object, object], before: Mapping[object, object]) -> None:
    """Show that what could not be read again took from verdicts their evidence at most, and made none of them fail."""
    changed = {what: (before[what], verdict) for what, verdict in now.items() if verdict != before[what]}
    assert now.keys() == before.keys()
    assert set(changed.values()) <= {("pass", "not evidenced")}, changed


def verdicts_of(store: Store) -> dict[object, object]:
    return {
        (row["model_name"], row["rule_id"]): row["verdict"]
        for row in rows(store, "compliance_results", "model_name, rule_id")
    }


def unreadable(store: Store) -> list[str]:
    """Why objects could not be read, as the audit trail tells it."""
    entries = rows(store, "audit_entries", "occurred_at, object_name")
    return [str(row["reason"]) for row in entries if row["kind"] == "object unreadable"]
