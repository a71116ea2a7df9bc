"""Files in the server's own store are read by the faster route, or by the other route if the first one fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.artifact_source_resolver import ServerSource
from verifywise_mlflow.pipeline.served_route import (
    FOLDERS_PER_TRIAL,
    MEASURED_LISTINGS,
    OwnStoreSource,
    RouteChoice,
    path_in_own_store,
)
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.faults import last_entry, recorded_files
from verifywise_mlflow_tests.support.proxy import FILE_ENDPOINTS, LISTING_ENDPOINTS, Fault, Proxy, always, saying
from verifywise_mlflow_tests.support.syncing import sync

LISTING_BY_LOCATION, FILE_BY_LOCATION = LISTING_ENDPOINTS[-1], FILE_ENDPOINTS[-1]


@pytest.mark.parametrize(
    ("by_location", "by_object", "is_by_location"),
    [
        ([0.004, 0.004, 0.005, 0.004], [0.012, 0.011, 0.015, 0.013], True),
        ([0.050, 0.020, 0.030, 0.040], [0.010, 0.011, 0.012, 0.090], False),
        ([0.105, 0.104, 0.106, 0.103], [0.102, 0.103, 0.104, 0.101], True),
        ([0.050, 0.060, 0.004, 0.070], [0.012, 0.011, 0.015, 0.013], True),
    ],
    ids=["by location is faster", "by object is faster", "a distance hides the difference", "three requests waited"],
)
def test_the_faster_route_is_chosen(by_location: list[float], by_object: list[float], is_by_location: bool) -> None:
    choice = RouteChoice()
    first = [choice.by_location() for _ in range(4)]
    for of_location, of_object in zip(by_location, by_object, strict=True):
        choice.record(of_location, by_location=True, is_empty=False)
        choice.record(of_object, by_location=False, is_empty=False)

    assert first == [True, False, True, False], "both are measured in turn"
    assert [choice.by_location() for _ in range(3)] == [is_by_location] * 3
    assert choice.reads_by_location() is is_by_location

    choice.refuse()
    assert not choice.by_location()
    assert not choice.reads_by_location()


@pytest.mark.parametrize(("seconds", "count"), [(0.004, 2 * FOLDERS_PER_TRIAL + 1), (0.05, 3)], ids=["fast", "slow"])
def test_a_route_that_was_slow_at_first_is_tried_again_and_used_if_it_is_fast(seconds: float, count: int) -> None:
    choice = RouteChoice()
    for route in [True, False] * MEASURED_LISTINGS:
        choice.record(0.05 if route else 0.01, by_location=route, is_empty=False)

    routes = []
    for _ in range(3 * FOLDERS_PER_TRIAL):
        routes.append(choice.by_location())
        choice.record(seconds if routes[-1] else 0.01, by_location=routes[-1], is_empty=False)

    assert routes.count(True) == count


def test_files_are_read_by_location_as_soon_as_it_has_shown_some() -> None:
    choice = RouteChoice()
    choice.record(0.01, by_location=True, is_empty=True)
    choice.record(0.01, by_location=False, is_empty=False)
    assert not choice.reads_by_location()

    choice.record(0.01, by_location=True, is_empty=False)
    assert choice.reads_by_location(), "a large file by the other route may take longer than all the measuring"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("mlflow-artifacts:/1/abc/artifacts", "1/abc/artifacts"),
        ("mlflow-artifacts:/workspaces/team-a/1/models/m-1/artifacts", "workspaces/team-a/1/models/m-1/artifacts"),
        ("mlflow-artifacts://other-server/1/abc/artifacts", None),
        ("mlflow-artifacts:/1/../2/artifacts", None),
        ("mlflow-artifacts:/1/a%20b/artifacts", None),
        ("mlflow-artifacts:/", None),
        ("s3://bucket/1/abc/artifacts", None),
        ("/srv/mlruns/1/abc/artifacts", None),
        (None, None),
    ],
)
def test_only_plain_locations_in_the_servers_own_store_have_the_second_route(uri: str | None, path: str | None) -> None:
    assert (path_in_own_store(uri) or None) == path


@pytest.mark.parametrize(
    ("fault", "endpoints"),
    [
        (saying(403, "Permission denied", "text/html"), (LISTING_BY_LOCATION, FILE_BY_LOCATION)),
        (saying(401, "You are not authenticated", "text/html"), (LISTING_BY_LOCATION, FILE_BY_LOCATION)),
        (saying(404, "<html>not found</html>", "text/html"), (LISTING_BY_LOCATION, FILE_BY_LOCATION)),
        (saying(503, '{"detail": "not served"}'), (LISTING_BY_LOCATION, FILE_BY_LOCATION)),
        (saying(200, "<html>Please log in</html>", "text/html"), LISTING_BY_LOCATION),
        (saying(200, "{}"), LISTING_BY_LOCATION),
        (saying(403, "Permission denied", "text/html"), FILE_BY_LOCATION),
        (saying(404, '{"error_code": "RESOURCE_DOES_NOT_EXIST"}'), FILE_BY_LOCATION),
        (saying(503), FILE_BY_LOCATION),
    ],
    ids=["403", "401", "404", "503", "login page", "empty", "403 for files", "404 for files", "503 for files"],
)
def test_what_the_route_by_location_does_not_serve_is_read_by_the_other(
    fault: Fault,
    endpoints: str | tuple[str, ...],
    impatient_tenant: Tenant,
    proxy: Proxy,
    store: Store,
    without_pauses: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Both routes are measured in turn. The threads determine which root is read by which route.
    monkeypatch.setattr(RouteChoice, "by_location", lambda choice: not choice._is_refused)
    proxy.fault = always(fault, endpoints)

    sync(impatient_tenant, store)

    files = recorded_files(store)
    assert last_entry(store, "proxied")["outcome"] == "complete"
    assert len(files) == 3
    assert all(sha256 for listed, *_ in files.values() for *_, sha256 in listed)  # type: ignore[attr-defined]
    assert proxy.requests_ending_with(endpoints), "the fault was met"


@pytest.mark.parametrize("route_is_proven", [False, True])
def test_an_empty_run_is_listed_by_one_route_once_that_is_proven_and_an_empty_model_by_both(
    route_is_proven: bool,
) -> None:
    listed: list[str] = []

    def lists_nothing(name: str) -> ServerSource:
        def list_directory(path: str) -> list[RemoteFile]:
            listed.append(f"{name}:{path}")
            return []

        return ServerSource(list_directory, no_file)

    def no_file(path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        raise AssertionError((path, max_bytes))

    choice = RouteChoice()
    for _ in range(MEASURED_LISTINGS):
        choice.record(0.1, by_location=True, is_empty=not route_is_proven)
    for kind, folder, may_be_empty in (("run", "", True), ("run", "model", True), ("logged model", "", False)):
        choice._turn = False
        by_location, by_object = (lists_nothing(f"{kind} by {route}") for route in ("location", "object"))
        OwnStoreSource(by_location, by_object, choice, may_be_empty=may_be_empty).list_directory(folder)

    assert listed == [
        "run by location:",
        *([] if route_is_proven else ["run by object:"]),
        "run by location:model",
        "run by object:model",
        "logged model by location:",
        "logged model by object:",
    ]
