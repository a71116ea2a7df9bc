"""Databricks responses that are invalid, incomplete or refused, from a fake that replays the documented form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.connector.databricks.reader import RegistryKind
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.http.errors import (
    ForbiddenError,
    InvalidResponseError,
    LimitExceededError,
    NotFoundError,
    UnauthenticatedError,
)
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow_tests.connector.databricks_workspace import (
    UC_MODEL,
    UC_MODELS,
    UC_VERSION,
    Workspace,
    error_response,
    open_databricks_reader,
    requests_to,
    uc_row,
)


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.from_recordings("workspace_registry", "unity_catalog", "tracking")


def test_a_listing_whose_second_read_differs_is_incomplete() -> None:
    workspace = Workspace()
    other_pages = [{"registered_models": [uc_row(f"main.s.m{number}")], "next_page_token": "t"} for number in range(9)]
    workspace.respond(UC_MODELS, {}, *other_pages)
    workspace.respond(UC_MODELS, {"page_token": "t"}, {})

    with open_databricks_reader(workspace) as (reader, _):
        listing = reader.registered_models().read()

    assert not listing.is_complete
    assert "changed during each of" in listing.problems[0]


@pytest.mark.parametrize(
    ("pages", "raised"),
    [
        ({"": {"next_page_token": "a"}, "a": {"next_page_token": "a"}}, InvalidResponseError),
        (
            {"": {"next_page_token": "a"}, "a": {"next_page_token": "b"}, "b": {"next_page_token": "a"}},
            InvalidResponseError,
        ),
        ({"": {"next_page_token": 7}}, InvalidResponseError),
        (
            {"": {"next_page_token": "0"}} | {str(n): {"next_page_token": str(n + 1)} for n in range(40)},
            LimitExceededError,
        ),
    ],
)
def test_invalid_or_repeating_tokens_end_a_listing_with_an_error(
    pages: dict[str, Mapping[str, object]], raised: type[Exception]
) -> None:
    workspace = Workspace()
    for token, page in pages.items():
        workspace.respond(UC_MODELS, {"page_token": token} if token else {}, page)

    with open_databricks_reader(workspace) as (reader, _), pytest.raises(raised):
        reader.registered_models().read()


HOSTILE_NAMES = ["../secrets", "a.b", "a.b.c.d", "a..c", "a.b.c/versions", "a.b.c d", "a.b.c\n", "a.b.\ud800", ""]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_row_with_an_invalid_name_is_not_requested(workspace: Workspace, name: str) -> None:
    row = {"full_name": name, "name": "x", "schema_name": "y"}
    workspace.respond(UC_MODELS, {}, {"registered_models": [row, 7, uc_row("main.retail.churn")]})

    with open_databricks_reader(workspace) as (reader, _):
        models, versions = reader.registered_models().read(), reader.model_versions().read()

    assert [model.name for model in models.rows] == ["main.retail.churn"]
    assert len(models.problems) == 2
    assert len(versions.rows) == 2
    assert not versions.is_complete, "a model that could not be identified may have versions"


def test_usable_fields_of_a_partly_unusable_row_are_read() -> None:
    workspace = Workspace()
    row = uc_row("main.s.m", created_at=10**17, comment=["no"], updated_at="1700000000000")
    workspace.respond(UC_MODELS, {}, {"registered_models": [row]})
    workspace.respond(UC_MODEL, {"name": "main.s.m"}, error_response(403, "PERMISSION_DENIED"))
    version = {"catalog_name": "main", "schema_name": "s", "model_name": "m", "status": "BRAND_NEW", "run_id": {}}
    other_fields = {"catalog_name": "main", "schema_name": "s", "model_name": "another", "version": 1}
    rows = [version | {"version": 1}, version | {"version": 0}, version, other_fields, None]
    workspace.respond(f"{UC_MODELS}/main.s.m/versions", {}, {"model_versions": rows})
    workspace.respond(UC_VERSION, {"name": "main.s.m", "version": "1"}, error_response(403, "PERMISSION_DENIED"))

    with open_databricks_reader(workspace) as (reader, _):
        (model,), versions = reader.registered_models().read().rows, reader.model_versions().read()

    assert model.last_updated_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert len(model.problems) == 3
    assert [(v.version_number, v.status, len(v.problems)) for v in versions.rows] == [(1, "BRAND_NEW", 2)]
    assert len(versions.problems) == 4


def test_an_object_that_may_be_listed_but_not_read_has_the_reason_as_a_problem(workspace: Workspace) -> None:
    # The server's message has a changing number: the record must not change with it.
    denied = [error_response(403, "PERMISSION_DENIED", f"no EXECUTE [request {number}]") for number in range(2)]
    workspace.respond(UC_VERSION, {"name": "main.retail.churn", "version": "1"}, *denied)

    with open_databricks_reader(workspace) as (reader, _):
        first_listing, second_listing = reader.model_versions().read(), reader.model_versions().read()

    assert first_listing.is_complete
    assert first_listing == second_listing
    assert (first_listing.rows[0].run_id, first_listing.rows[0].tags) == ("run-a", {})
    assert "could not be read: PERMISSION_DENIED" in first_listing.rows[0].problems[0]


def test_a_transient_failure_omits_the_object_and_makes_the_listing_incomplete(workspace: Workspace) -> None:
    workspace.respond(UC_VERSION, {"name": "main.retail.churn", "version": "1"}, error_response(500, "INTERNAL_ERROR"))

    with open_databricks_reader(workspace) as (reader, _):
        listing = reader.model_versions().read()

    assert [version.version_number for version in listing.rows] == [2]
    assert not listing.is_complete
    assert "1 of 2 were listed but could not be read" in listing.problems[0]


def test_an_object_that_is_deleted_during_the_read_is_not_a_problem(workspace: Workspace) -> None:
    not_found = error_response(404, "RESOURCE_DOES_NOT_EXIST")
    workspace.respond(UC_VERSION, {"name": "main.retail.churn", "version": "1"}, not_found)
    workspace.respond(f"{UC_MODELS}/sandbox.default.scoring/versions", {}, not_found)

    with open_databricks_reader(workspace) as (reader, _):
        listing = reader.model_versions().read()

    assert [version.version_number for version in listing.rows] == [2]
    assert listing.is_complete


def test_versions_that_may_not_be_listed_make_the_listing_incomplete(workspace: Workspace) -> None:
    workspace.respond(f"{UC_MODELS}/sandbox.default.scoring/versions", {}, error_response(403, "PERMISSION_DENIED"))

    with open_databricks_reader(workspace) as (reader, _):
        listing = reader.model_versions().read()

    assert len(listing.rows) == 2
    assert "sandbox.default.scoring" in listing.problems[0]


def test_a_response_about_another_object_is_invalid(workspace: Workspace) -> None:
    workspace.respond(UC_MODEL, {"name": "main.retail.churn"}, {"registered_model": {"name": "main.retail.other"}})
    other = {"model_version": {"name": "main.retail.churn", "version": "2"}}
    workspace.respond(UC_VERSION, {"name": "main.retail.churn", "version": "1"}, other)

    with open_databricks_reader(workspace) as (reader, _):
        with pytest.raises(InvalidResponseError, match="another model"):
            reader.registered_model("main.retail.churn")
        with pytest.raises(InvalidResponseError, match="another version"):
            reader.model_version("main.retail.churn", 1)


@pytest.mark.parametrize("registry", ["workspace", "unity_catalog"])
@pytest.mark.parametrize("code", ["ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "METASTORE_DOES_NOT_EXIST"])
def test_a_retired_endpoint_does_not_make_objects_look_deleted(registry: RegistryKind, code: str) -> None:
    workspace = Workspace()
    for path in (UC_MODEL, "/api/2.0/mlflow/databricks/registered-models/get"):
        workspace.respond(path, {"name": "a.b.c"}, error_response(404, code))
    for path in (UC_VERSION, "/api/2.0/mlflow/model-versions/get"):
        workspace.respond(path, {"name": "a.b.c", "version": "1"}, error_response(404, code))

    with open_databricks_reader(workspace, registry) as (reader, _):
        with pytest.raises(EndpointNotFoundError, match=code):
            reader.registered_model("a.b.c")
        with pytest.raises(EndpointNotFoundError, match=code):
            reader.model_version("a.b.c", 1)


def test_a_retired_endpoint_leaves_records_without_tags_and_with_a_problem(workspace: Workspace) -> None:
    for version in ("1", "2"):
        workspace.respond(
            UC_VERSION, {"name": "main.retail.churn", "version": version}, error_response(404, "ENDPOINT_NOT_FOUND")
        )

    with open_databricks_reader(workspace) as (reader, _):
        listing = reader.model_versions().read()

    assert [(version.version_number, len(version.problems)) for version in listing.rows] == [(1, 1), (2, 1)]


def test_a_deleted_object_is_not_found(workspace: Workspace) -> None:
    workspace.respond(UC_MODEL, {"name": "main.retail.deleted"}, error_response(404, "RESOURCE_DOES_NOT_EXIST"))

    with open_databricks_reader(workspace) as (reader, _), pytest.raises(NotFoundError):
        reader.registered_model("main.retail.deleted")
    with open_databricks_reader(workspace, "workspace") as (reader, _), pytest.raises(NotFoundError):
        reader.registered_model("deleted")


@pytest.mark.parametrize("registry", ["workspace", "unity_catalog"])
def test_a_missing_permission_is_reported_as_such(registry: RegistryKind) -> None:
    workspace = Workspace()
    for path in (UC_MODELS, "/api/2.0/mlflow/registered-models/search"):
        workspace.respond(path, {}, error_response(403, "PERMISSION_DENIED"))

    with open_databricks_reader(workspace, registry) as (reader, _), pytest.raises(ForbiddenError):
        reader.registered_models().read()


def test_a_refused_token_ends_the_listing_at_once(workspace: Workspace) -> None:
    rows = [uc_row(f"main.s.m{number}") for number in range(200)]
    workspace.respond(UC_MODELS, {}, {"registered_models": rows})
    for row in rows:
        workspace.respond(UC_MODEL, {"name": row["full_name"]}, error_response(401, "UNAUTHENTICATED"))

    with open_databricks_reader(workspace) as (reader, server):
        with pytest.raises(UnauthenticatedError):
            reader.registered_models().read()

        # Failures of requests that were under way together count once.
        limits = Limits()
        assert len(requests_to(server, "/get")) <= limits.breaker_threshold * limits.max_concurrent_requests


def test_a_rate_limited_request_is_retried(workspace: Workspace) -> None:
    rate_limited = error_response(429, "REQUEST_LIMIT_EXCEEDED", Retry_After="0")
    model = {"registered_model": {"name": "sandbox.default.scoring"}}
    workspace.respond(UC_MODEL, {"name": "sandbox.default.scoring"}, rate_limited, model)

    with open_databricks_reader(workspace, max_attempts=3) as (reader, server):
        listing = reader.registered_models().read()

        assert listing.is_complete
        assert len(requests_to(server, "/get")) == 4


def test_a_workspace_that_rate_limits_everything_opens_the_circuit(workspace: Workspace) -> None:
    rows = [uc_row(f"main.s.m{number}") for number in range(300)]
    workspace.respond(UC_MODELS, {}, {"registered_models": rows})
    for row in rows:
        workspace.respond(UC_MODEL, {"name": row["full_name"]}, error_response(429, "REQUEST_LIMIT_EXCEEDED"))

    with open_databricks_reader(workspace) as (reader, server):
        listing = reader.registered_models().read()

        assert listing.rows == ()
        assert "300 of 300 were listed" in listing.problems[0]
        # Failures of requests that were under way together count once.
        limits = Limits()
        assert len(requests_to(server, "/get")) <= limits.breaker_threshold * limits.max_concurrent_requests
