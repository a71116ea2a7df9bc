"""The user who requested a run, with Dagster's webserver behind nginx, and runs without an authenticated user."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import urllib3

import verifywise_mlflow
from verifywise_mlflow.common.os_user import operating_system_user
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.run_queue.authenticated_user import USER_HEADER_VARIABLE
from verifywise_mlflow.defs.run_tags import USER_TAG
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.defs.production import production_instance
from verifywise_mlflow_tests.defs.webservers import reverse_proxy, webserver
from verifywise_mlflow_tests.support.certificate_authorities import make_authority
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows

EXAMPLE = (Path(verifywise_mlflow.__file__).parents[1] / "deploy/nginx.conf").read_text()
FORGED = {USER_TAG: "mallory"}
DEFINITIONS = """
import dagster as dg

@dg.op
def sync() -> None: ...

@dg.job
def sync_tenant() -> None:
    sync()

defs = dg.Definitions(jobs=[sync_tenant])
"""
LAUNCH = """
mutation Launch($tags: [ExecutionTag!]) {
  launchRun(executionParams: {
    selector: {repositoryName: "__repository__", repositoryLocationName: "tiny", pipelineName: "sync_tenant"},
    executionMetadata: {tags: $tags}
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""


@dataclass(frozen=True, slots=True)
class Pages:
    """Dagster's pages behind the proxy."""

    instance: dg.DagsterInstance
    client: urllib3.PoolManager
    uri: str

    def open(self, login: str | None) -> int:
        """Return the status of the first page. A login is ``user:password``."""
        headers = urllib3.make_headers(basic_auth=login) if login else {}
        return self.client.request("GET", f"{self.uri}/", headers=headers).status

    def launch(self, user: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """Request a run in the name of another user, given by a tag and by the header."""
        tags = [{"key": key, "value": value} for key, value in FORGED.items()]
        return self.client.request(
            "POST",
            f"{self.uri}/graphql",
            json={"query": LAUNCH, "variables": {"tags": tags}},
            headers=urllib3.make_headers(basic_auth=f"{user}:{user}") | {"X-Forwarded-User": "mallory"} | headers,
        )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "tiny.py").write_text(DEFINITIONS)
    (tmp_path / "htpasswd").write_text("ada:{PLAIN}ada\nvic:{PLAIN}vic\n")
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with production_instance(home / "dagster", {}, in_sqlite=True) as instance:
        yield instance


@pytest.fixture
def pages(home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pages]:
    authority = make_authority(home)
    monkeypatch.setenv(USER_HEADER_VARIABLE, "X-Forwarded-User")
    with ExitStack() as stack:
        operators, viewers = (
            stack.enter_context(webserver(instance, home / "tiny.py", read_only=read_only))
            for read_only in (False, True)
        )
        replacements = {
            "127.0.0.1:3000": f"127.0.0.1:{operators}",
            "127.0.0.1:3001": f"127.0.0.1:{viewers}",
            "/etc/nginx/dagster.crt": str(authority.server),
            "/etc/nginx/dagster.key": str(authority.server),
            "/etc/nginx/dagster.htpasswd": str(home / "htpasswd"),
        }
        port = stack.enter_context(reverse_proxy(home, EXAMPLE, replacements))
        client = stack.enter_context(urllib3.PoolManager(ca_certs=str(authority.certificate)))
        yield Pages(instance, client, f"https://127.0.0.1:{port}")


def outcome(response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    """Return Dagster's response to a request for a run."""
    assert response.status == HTTPStatus.OK, response.data
    launched: dict[str, Any] = json.loads(response.data)["data"]["launchRun"]
    return launched


def test_behind_the_example_proxy_a_run_names_its_user_and_viewers_start_none(pages: Pages) -> None:
    by_operator = outcome(pages.launch("ada"))
    by_viewer = outcome(pages.launch("vic"))

    assert [pages.open(login) for login in (None, "ada:guessed", "vic:vic")] == [401, 401, 200]
    assert by_operator["__typename"] == "LaunchRunSuccess", by_operator
    run = pages.instance.get_run_by_id(by_operator["run"]["runId"])
    assert run is not None
    assert run.tags[USER_TAG] == "ada"
    assert by_viewer["__typename"] == "UnauthorizedError"
    assert len(pages.instance.get_runs()) == 1


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_the_example_proxy_refuses_requests_that_another_sites_page_sends_with_the_users_login(
    pages: Pages, site: str
) -> None:
    forged = pages.launch("ada", **{"Sec-Fetch-Site": site})

    assert forged.status == HTTPStatus.FORBIDDEN
    assert pages.instance.get_runs() == []


ACCEPTANCE = {"resources": {"tenant_sync": {"config": {"accept_removals": "churn was retired"}}}}


def sync(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("sync_tenant")
    return job.execute_in_process(
        instance=instance,
        partition_key="acme",
        raise_on_error=False,
        tags=tags,
        run_config=ACCEPTANCE,
        asset_selection=[dg.AssetKey("registered_models"), dg.AssetKey("model_versions")],
    )


def test_a_run_accepts_removals_only_if_it_names_an_authenticated_user(
    registry: Registry, tenants_file: Path, store: Store
) -> None:
    for _ in range(21):
        registry.version("churn")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        assert sync(instance, {USER_TAG: "ada"}).success  # nothing to remove yet
        registry.client.delete_registered_model("churn")

        anonymous = sync(instance, {})
        removed_by_anonymous = [row["kind"] for row in rows(store, "lifecycle_events")].count("disappeared")
        authenticated = sync(instance, {USER_TAG: "ada"})

    failure = anonymous.failure_data_for_node("registered_models")
    assert not anonymous.success
    assert removed_by_anonymous == 0
    assert "verifywise-mlflow sync acme --accept-removals" in str(failure and failure.user_failure_data)
    assert authenticated.success
    entries = [row for row in rows(store, "audit_entries", "sequence") if row["os_user"]]
    accepted = [row for row in entries if row["kind"] == "removals accepted"]
    assert [(str(row["reason"]).split("accepted: ")[1], row["dagster_user"]) for row in accepted] == [
        ("churn was retired", "ada")
    ]
    assert {row["os_user"] for row in entries} == {operating_system_user()}
    assert [row["dagster_user"] for row in entries if row["kind"] == "sync started"] == ["ada", "ada"]
