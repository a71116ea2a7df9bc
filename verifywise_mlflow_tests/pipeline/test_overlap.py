"""While a page is written, the next page is requested: a server that responds only after both requests shows this."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.http.errors import GatewayError, HttpError, UnauthenticatedError
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.stages import training_runs
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.hostile_server import HostileServer, ReceivedRequest, hostile_server, json_response
from verifywise_mlflow_tests.support.syncing import rows

PAGE = 3
VERSIONS = 12
WAIT_SECONDS = 5.0


@dataclass
class PagedServer:
    """One model with versions, in pages of ``PAGE``. A page is sent once the pages before it are stored."""

    stored_before_page: dict[int, int] = field(default_factory=dict)
    """For each page, the number of rows that were stored when the page was sent."""
    refused_page: int | None = None
    runs_fault: Callable[[HostileServer], bytes] | None = None
    run_searches: int = 0
    most_searches: int = 0
    """The highest observed number of concurrent searches for runs."""
    _searches: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, store: Store, server: HostileServer, request: ReceivedRequest) -> bytes:
        """Answer a search."""
        parts = urlsplit(request.target)
        query = parse_qs(parts.query)
        if "filter" in query:  # the search for prompts
            return json_response({})
        match parts.path.rpartition("mlflow/")[2]:
            case "registered-models/search":
                return json_response({"registered_models": [{"name": "churn"}]})
            case "model-versions/search":
                return self._versions(store, query.get("page_token", [""])[0])
            case "experiments/search":
                return json_response({"experiments": [{"experiment_id": "1", "name": "churn"}]})
            case "runs/search":
                self.run_searches += 1
                if self.runs_fault:
                    return self.runs_fault(server)
                return self._runs(json.loads(request.body)["filter"])
            case _:
                return json_response({"error_code": "ENDPOINT_NOT_FOUND"}, 404)

    def _versions(self, store: Store, token: str) -> bytes:
        offset = json.loads(base64.b64decode(token))["offset"] if token else 0
        number = -(-offset // PAGE)
        if number == self.refused_page:
            return json_response({"error_code": "UNAUTHENTICATED", "message": "no"}, 401)
        self.stored_before_page[number] = _wait_for_rows(store, number * PAGE)
        end = (number + 1) * PAGE
        page = [{"name": "churn", "version": str(index + 1), "run_id": f"{index:032x}"} for index in range(offset, end)]
        next_token = base64.b64encode(json.dumps({"offset": end}).encode()).decode()
        return json_response({"model_versions": page, "next_page_token": next_token if end < VERSIONS else ""})

    def _runs(self, text: str) -> bytes:
        with self._lock:
            self._searches += 1
            self.most_searches = max(self.most_searches, self._searches)
        time.sleep(0.05)
        with self._lock:
            self._searches -= 1
        run_ids = re.findall(r"'(\w+)'", text)
        return json_response({"runs": [{"info": {"run_id": run_id, "experiment_id": "1"}} for run_id in run_ids]})


def _wait_for_rows(store: Store, count: int) -> int:
    """Wait until the store has this many versions; return how many it has."""
    ends_at = time.monotonic() + WAIT_SECONDS
    while (stored := len(rows(store, "model_versions"))) < count and time.monotonic() < ends_at:
        time.sleep(0.01)
    return stored


@contextmanager
def synced_stages(paged: PagedServer, store: Store, *stages: Stage) -> Iterator[Sync]:
    """Run the stages against the server."""
    with hostile_server(lambda server, request: paged.respond(store, server, request)) as server:
        tenant = Tenant(tenant_id="acme", tracking_uri=server.uri, allow_private_network=True)
        with Sync(tenant, store) as sync:
            for stage in stages:
                sync.run(stage)
            yield sync


def test_a_page_is_requested_before_the_page_before_it_is_written(store: Store) -> None:
    paged = PagedServer()

    with synced_stages(paged, store, Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS) as sync:
        progress = sync.reports[-1].progress

    # Page 2 was requested while page 1 was written, which happened before page 2 was sent.
    assert paged.stored_before_page == {0: 0, 1: PAGE, 2: 2 * PAGE, 3: 3 * PAGE}
    assert (progress.read, progress.changed, progress.notes) == (VERSIONS, VERSIONS, [])


def test_pages_before_a_refused_one_are_kept_and_nothing_is_removed(store: Store) -> None:
    with synced_stages(PagedServer(), store, Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS):
        pass

    with pytest.raises(UnauthenticatedError), synced_stages(PagedServer(refused_page=2), store, Stage.MODEL_VERSIONS):
        pass

    stored = rows(store, "model_versions")
    assert len(stored) == VERSIONS
    assert not any(row["deleted_at"] for row in stored)


def test_several_pages_of_runs_are_requested_at_once_and_no_more_than_stated(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_runs, "RUNS_PAGE_SIZE", 1)
    paged = PagedServer()

    with synced_stages(paged, store, Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS, Stage.TRAINING_RUNS) as sync:
        assert sync.reports[-1].progress.changed == VERSIONS

    assert 2 <= paged.most_searches <= training_runs.PAGES_AHEAD


@pytest.mark.parametrize(
    ("status", "error", "attempts"), [(401, UnauthenticatedError, 1), (503, GatewayError, Limits().max_attempts)]
)
def test_a_server_that_refuses_every_search_gets_no_more_than_those_that_were_under_way(
    status: int,
    error: type[HttpError],
    attempts: int,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    without_pauses: None,
) -> None:
    monkeypatch.setattr(training_runs, "RUNS_PAGE_SIZE", 1)
    paged = PagedServer(runs_fault=lambda _: json_response({}, status))

    with synced_stages(paged, store, Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS) as sync, pytest.raises(error):
        sync.run(Stage.TRAINING_RUNS)

    assert 1 <= paged.run_searches <= training_runs.PAGES_AHEAD * attempts


def test_the_deadline_ends_searches_at_the_same_time_and_what_is_due_stays_due(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_runs, "RUNS_PAGE_SIZE", 1)

    def hang(server: HostileServer) -> bytes:
        server.hang()
        return json_response({})

    with synced_stages(PagedServer(runs_fault=hang), store, Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS) as sync:
        began = time.monotonic()
        with sync.deadline.limited_to(0.001):
            progress = sync.run(Stage.TRAINING_RUNS).progress

    assert progress.is_cut_short
    assert time.monotonic() - began < 15, "the searches wait for the deadline together, not one after the other"
    with synced_stages(PagedServer(), store, Stage.TRAINING_RUNS) as sync:
        assert sync.reports[-1].progress.changed == VERSIONS
