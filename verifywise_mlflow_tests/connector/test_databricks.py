"""Both registries of Databricks, on an imitation that replays documented shapes. No live workspace was contacted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.connector.databricks.reader import DatabricksReader, RegistryKind
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.http.errors import (
    ForbiddenError,
    InvalidResponseError,
    InvalidSettingsError,
    LimitExceededError,
    NotFoundError,
    UnauthenticatedError,
)
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow_tests.connector.databricks_workspace import Workspace, error, questions, reading

STRANGE = "main.r&d;v=2.größe-100%?x=1#'y'"
UC_MODELS = "/api/2.1/unity-catalog/models"
UC_MODEL = "/api/2.0/mlflow/unity-catalog/registered-models/get"
UC_VERSION = "/api/2.0/mlflow/unity-catalog/model-versions/get"


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.recorded("workspace_registry", "unity_catalog", "tracking")


def uc_row(full_name: str, **more: object) -> dict[str, object]:
    catalog, schema, name = full_name.split(".", 2)
    return {"name": name, "catalog_name": catalog, "schema_name": schema, "full_name": full_name, **more}


# -- opening


@pytest.mark.parametrize("registry", ["workspace", "unity_catalog"])
def test_opening_costs_no_request_and_the_token_goes_with_each(workspace: Workspace, registry: RegistryKind) -> None:
    with reading(workspace, registry) as (reader, server):
        assert reader.traffic.requests == 0
        assert (reader.server.version, reader.server.store_type) == (None, f"databricks {registry}")

        reader.experiments()

        assert [asked.headers["authorization"] for asked in server.requests] == ["Bearer dapi-secret"]


def test_what_databricks_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidSettingsError, match="workspace:"):
        DatabricksReader(ConnectionSettings("https://dbc.example", workspace="team-a"), "unity_catalog")
    with pytest.raises(InvalidSettingsError, match="catalogs:"):
        DatabricksReader(ConnectionSettings("https://dbc.example"), "workspace", ["main"])


# -- the workspace registry


def test_a_workspace_registry_is_read_in_full(workspace: Workspace) -> None:
    with reading(workspace, "workspace") as (reader, server):
        models, versions = reader.registered_models(), reader.model_versions()

        assert models.is_complete
        assert versions.is_complete
        assert [(model.name, model.tags, model.aliases) for model in models.rows] == [
            ("churn", {"owner": "retention"}, {}),
            ("fraud", {}, {}),
        ]
        assert [(v.model_name, v.version_number, v.stage, v.run_id, v.status) for v in versions.rows] == [
            ("churn", 1, "Archived", "run-a", "READY"),
            ("churn", 2, "Production", "run-b", "READY"),
            ("fraud", 1, None, None, "FAILED_REGISTRATION"),
        ]
        assert reader.registered_model("churn") == models.rows[0]
        assert reader.model_version("churn", 2) == versions.rows[1]
        assert all("filter" not in question.query for question in questions(server, "search"))


def test_a_workspace_registry_is_asked_within_its_documented_limits(workspace: Workspace) -> None:
    with reading(workspace, "workspace") as (reader, server):
        reader.registered_models()
        reader.model_versions()

        asked = {question.path.split("/")[-2]: question.query for question in questions(server, "search")}
        assert (asked["registered-models"]["max_results"], asked["registered-models"]["order_by"]) == (
            "1000",
            "name ASC",
        )
        assert (asked["model-versions"]["max_results"], asked["model-versions"]["order_by"]) == (
            "10000",
            ["name ASC", "version ASC"],
        )


# -- Unity Catalog


def test_a_unity_catalog_is_read_in_full(workspace: Workspace) -> None:
    with reading(workspace) as (reader, _):
        models, versions = reader.registered_models(), reader.model_versions()

        assert models.is_complete
        assert versions.is_complete
        assert [model.name for model in models.rows] == ["main.retail.churn", STRANGE, "sandbox.default.scoring"]
        churn, (first, second) = models.rows[0], versions.rows
        assert (churn.aliases, churn.tags) == ({"champion": 1, "challenger": 2}, {"owner": "retention", "pii": ""})
        assert churn.created_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
        assert (first.model_name, first.version_number, first.tags) == (churn.name, 1, {"approved_by": "cy"})
        assert (first.stage, first.deployment_job_state) == (None, "APPROVAL")
        assert (second.status, second.status_message) == ("PENDING_REGISTRATION", "the files are being copied")
        assert reader.registered_model(churn.name) == churn
        assert reader.model_version(churn.name, 2) == second


def test_reading_a_unity_catalog_costs_two_requests_a_model_and_one_a_version(workspace: Workspace) -> None:
    with reading(workspace) as (reader, server):
        reader.registered_models()
        reader.model_versions()

        assert len(questions(server, "unity-catalog/models")) == 2 * 3, "three pages, read twice: tokens tell nothing"
        assert len(questions(server, "/versions")) == 3
        assert len(questions(server, "/get")) == 3 + 2
        assert reader.traffic.requests == 14


def test_a_page_size_is_always_named(workspace: Workspace) -> None:
    with reading(workspace) as (reader, server):
        reader.model_versions()

        listings = questions(server, "/models") + questions(server, "/versions")
        assert {question.query["max_results"] for question in listings} == {"1000"}


def test_only_the_catalogs_that_are_named_are_read(workspace: Workspace) -> None:
    with reading(workspace, catalogs=("Sandbox",)) as (reader, server):
        models, versions = reader.registered_models(), reader.model_versions()

        assert [model.name for model in models.rows] == ["sandbox.default.scoring"]
        assert versions.rows == ()
        assert models.is_complete
        assert versions.is_complete
        assert not [asked for asked in server.requests if "churn" in asked.target]


def test_a_name_of_strange_characters_stays_one_segment_of_the_path(workspace: Workspace) -> None:
    with reading(workspace) as (reader, server):
        reader.model_versions()

    assert "/api/2.1/unity-catalog/models/main.r%26d%3Bv%3D2.gr%C3%B6%C3%9Fe-100%25%3Fx%3D1%23%27y%27/versions" in {
        question.path for question in questions(server, "/versions")
    }


def test_a_listing_whose_second_reading_differs_says_that_it_is_not_complete() -> None:
    workspace = Workspace()
    others = [{"registered_models": [uc_row(f"main.s.m{number}")], "next_page_token": "t"} for number in range(9)]
    workspace.say(UC_MODELS, {}, *others)
    workspace.say(UC_MODELS, {"page_token": "t"}, {})

    with reading(workspace) as (reader, _):
        listing = reader.registered_models()

    assert not listing.is_complete
    assert "changed each of the" in listing.problems[0]


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
def test_tokens_that_lead_nowhere_end_a_listing(
    pages: dict[str, Mapping[str, object]], raised: type[Exception]
) -> None:
    workspace = Workspace()
    for token, page in pages.items():
        workspace.say(UC_MODELS, {"page_token": token} if token else {}, page)

    with reading(workspace) as (reader, _), pytest.raises(raised):
        reader.registered_models()


HOSTILE_NAMES = ["../secrets", "a.b", "a.b.c.d", "a..c", "a.b.c/versions", "a.b.c d", "a.b.c\n", "a.b.\ud800", ""]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_row_whose_name_is_none_is_not_asked_for(workspace: Workspace, name: str) -> None:
    row = {"full_name": name, "name": "x", "schema_name": "y"}
    workspace.say(UC_MODELS, {}, {"registered_models": [row, 7, uc_row("main.retail.churn")]})

    with reading(workspace) as (reader, _):
        models, versions = reader.registered_models(), reader.model_versions()

    assert [model.name for model in models.rows] == ["main.retail.churn"]
    assert len(models.problems) == 2
    assert len(versions.rows) == 2
    assert not versions.is_complete, "a model that could not be told may have versions"


def test_rows_with_unusable_fields_keep_what_is_usable() -> None:
    workspace = Workspace()
    row = uc_row("main.s.m", created_at=10**17, comment=["no"], updated_at="1700000000000")
    workspace.say(UC_MODELS, {}, {"registered_models": [row]})
    workspace.say(UC_MODEL, {"name": "main.s.m"}, error(403, "PERMISSION_DENIED"))
    version = {"catalog_name": "main", "schema_name": "s", "model_name": "m", "status": "BRAND_NEW", "run_id": {}}
    others = {"catalog_name": "main", "schema_name": "s", "model_name": "another", "version": 1}
    rows = [version | {"version": 1}, version | {"version": 0}, version, others, None]
    workspace.say(f"{UC_MODELS}/main.s.m/versions", {}, {"model_versions": rows})
    workspace.say(UC_VERSION, {"name": "main.s.m", "version": "1"}, error(403, "PERMISSION_DENIED"))

    with reading(workspace) as (reader, _):
        (model,), versions = reader.registered_models().rows, reader.model_versions()

    assert model.last_updated_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert len(model.problems) == 3
    assert [(v.version_number, v.status, len(v.problems)) for v in versions.rows] == [(1, "BRAND_NEW", 2)]
    assert len(versions.problems) == 4


def test_what_may_be_listed_but_not_read_is_kept_with_the_reason(workspace: Workspace) -> None:
    # The server's words bear a number that changes: the record must not change with it.
    denied = [error(403, "PERMISSION_DENIED", f"no EXECUTE [request {number}]") for number in range(2)]
    workspace.say(UC_VERSION, {"name": "main.retail.churn", "version": "1"}, *denied)

    with reading(workspace) as (reader, _):
        first, again = reader.model_versions(), reader.model_versions()

    assert first.is_complete
    assert first == again
    assert (first.rows[0].run_id, first.rows[0].tags) == ("run-a", {})
    assert "could not be read: PERMISSION_DENIED" in first.rows[0].problems[0]


def test_what_fails_in_passing_is_left_out_and_leaves_the_listing_incomplete(workspace: Workspace) -> None:
    workspace.say(UC_VERSION, {"name": "main.retail.churn", "version": "1"}, error(500, "INTERNAL_ERROR"))

    with reading(workspace) as (reader, _):
        listing = reader.model_versions()

    assert [version.version_number for version in listing.rows] == [2]
    assert not listing.is_complete
    assert "1 of 2 were listed but could not be read" in listing.problems[0]


def test_what_is_deleted_while_it_is_read_is_not_a_problem(workspace: Workspace) -> None:
    gone = error(404, "RESOURCE_DOES_NOT_EXIST")
    workspace.say(UC_VERSION, {"name": "main.retail.churn", "version": "1"}, gone)
    workspace.say(f"{UC_MODELS}/sandbox.default.scoring/versions", {}, gone)

    with reading(workspace) as (reader, _):
        listing = reader.model_versions()

    assert [version.version_number for version in listing.rows] == [2]
    assert listing.is_complete


def test_versions_that_may_not_be_listed_leave_the_listing_incomplete(workspace: Workspace) -> None:
    workspace.say(f"{UC_MODELS}/sandbox.default.scoring/versions", {}, error(403, "PERMISSION_DENIED"))

    with reading(workspace) as (reader, _):
        listing = reader.model_versions()

    assert len(listing.rows) == 2
    assert "sandbox.default.scoring" in listing.problems[0]


def test_an_answer_about_another_object_is_no_answer(workspace: Workspace) -> None:
    workspace.say(UC_MODEL, {"name": "main.retail.churn"}, {"registered_model": {"name": "main.retail.other"}})
    other = {"model_version": {"name": "main.retail.churn", "version": "2"}}
    workspace.say(UC_VERSION, {"name": "main.retail.churn", "version": "1"}, other)

    with reading(workspace) as (reader, _):
        with pytest.raises(InvalidResponseError, match="another one"):
            reader.registered_model("main.retail.churn")
        with pytest.raises(InvalidResponseError, match="another one"):
            reader.model_version("main.retail.churn", 1)


# -- refusals


@pytest.mark.parametrize("registry", ["workspace", "unity_catalog"])
@pytest.mark.parametrize("code", ["ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "METASTORE_DOES_NOT_EXIST"])
def test_a_call_that_is_retired_does_not_make_objects_look_gone(registry: RegistryKind, code: str) -> None:
    workspace = Workspace()
    for path in (UC_MODEL, "/api/2.0/mlflow/databricks/registered-models/get"):
        workspace.say(path, {"name": "a.b.c"}, error(404, code))
    for path in (UC_VERSION, "/api/2.0/mlflow/model-versions/get"):
        workspace.say(path, {"name": "a.b.c", "version": "1"}, error(404, code))

    with reading(workspace, registry) as (reader, _):
        with pytest.raises(EndpointNotFoundError, match=code):
            reader.registered_model("a.b.c")
        with pytest.raises(EndpointNotFoundError, match=code):
            reader.model_version("a.b.c", 1)


def test_a_retired_call_leaves_records_without_tags_and_says_so(workspace: Workspace) -> None:
    for version in ("1", "2"):
        workspace.say(UC_VERSION, {"name": "main.retail.churn", "version": version}, error(404, "ENDPOINT_NOT_FOUND"))

    with reading(workspace) as (reader, _):
        listing = reader.model_versions()

    assert [(version.version_number, len(version.problems)) for version in listing.rows] == [(1, 1), (2, 1)]


def test_an_object_that_is_gone_is_not_found(workspace: Workspace) -> None:
    workspace.say(UC_MODEL, {"name": "main.retail.gone"}, error(404, "RESOURCE_DOES_NOT_EXIST"))

    with reading(workspace) as (reader, _), pytest.raises(NotFoundError):
        reader.registered_model("main.retail.gone")
    with reading(workspace, "workspace") as (reader, _), pytest.raises(NotFoundError):
        reader.registered_model("gone")


@pytest.mark.parametrize("registry", ["workspace", "unity_catalog"])
def test_a_permission_that_is_missing_is_told_as_that(registry: RegistryKind) -> None:
    workspace = Workspace()
    for path in (UC_MODELS, "/api/2.0/mlflow/registered-models/search"):
        workspace.say(path, {}, error(403, "PERMISSION_DENIED"))

    with reading(workspace, registry) as (reader, _), pytest.raises(ForbiddenError):
        reader.registered_models()


def test_a_token_that_is_refused_ends_the_listing_at_once(workspace: Workspace) -> None:
    rows = [uc_row(f"main.s.m{number}") for number in range(200)]
    workspace.say(UC_MODELS, {}, {"registered_models": rows})
    for row in rows:
        workspace.say(UC_MODEL, {"name": row["full_name"]}, error(401, "UNAUTHENTICATED"))

    with reading(workspace) as (reader, server):
        with pytest.raises(UnauthenticatedError):
            reader.registered_models()

        assert len(questions(server, "/get")) < 20


def test_a_rate_limit_is_waited_out(workspace: Workspace) -> None:
    throttled = error(429, "REQUEST_LIMIT_EXCEEDED", Retry_After="0")
    found = {"registered_model": {"name": "sandbox.default.scoring"}}
    workspace.say(UC_MODEL, {"name": "sandbox.default.scoring"}, throttled, found)

    with reading(workspace, attempts=3) as (reader, server):
        listing = reader.registered_models()

        assert listing.is_complete
        assert len(questions(server, "/get")) == 4


def test_a_workspace_that_throttles_everything_is_let_be(workspace: Workspace) -> None:
    rows = [uc_row(f"main.s.m{number}") for number in range(300)]
    workspace.say(UC_MODELS, {}, {"registered_models": rows})
    for row in rows:
        workspace.say(UC_MODEL, {"name": row["full_name"]}, error(429, "REQUEST_LIMIT_EXCEEDED"))

    with reading(workspace) as (reader, server):
        listing = reader.registered_models()

        assert listing.rows == ()
        assert "300 of 300 were listed" in listing.problems[0]
        assert len(questions(server, "/get")) < 20
