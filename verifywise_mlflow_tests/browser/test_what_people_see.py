"""The real user interface in a real browser: what the guide says is seen. ``make pictures`` keeps its pictures."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page

from verifywise_mlflow.persistence import tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.stage import Stage
from verifywise_mlflow_tests.browser import chromium
from verifywise_mlflow_tests.browser.playground import HOSTILE, TENANTS, Playground, playground
from verifywise_mlflow_tests.proxy import always, proxy_before, reset_before_answer

pytestmark = pytest.mark.timeout(600)

STAGES = [
    *("registered_models", "model_versions", "training_runs", "artifact_manifests"),
    *("canonical_records", "compliance_results"),
]
ASKED_BY = ("dagster/sensor_name", "dagster/schedule_name")
SHOWN_HOSTILE = HOSTILE.replace("\u202e", "\\u202e")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """First of all: without a browser, nothing else has to be started."""
    with chromium.page() as page:
        yield page


@pytest.fixture(scope="module")
def servers(page: Page, mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    with playground(mlflow_uri, tmp_path_factory.mktemp("browser")) as servers:
        yield servers


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return Path(os.environ.get("VERIFYWISE_PICTURES", tmp_path))


def wait_for(page: Page, *texts: str) -> None:
    """Wait until the page shows each text. Dagster breaks names with spaces of no width."""
    page.wait_for_function(
        "texts => { const seen = document.body.innerText.replaceAll('\\u200b', '');"
        " return texts.every(text => seen.includes(text)) }",
        arg=list(texts),
    )


def test_lineage_begins_at_the_servers_and_has_the_six_stages(page: Page, servers: Playground, pictures: Path) -> None:
    page.goto(f"{servers.dagster.uri}/locations/verifywise_mlflow/asset-groups/model_governance/lineage")

    wait_for(page, *STAGES, "mlflow_server")

    chromium.shoot(page, "lineage", pictures)


def test_the_partitions_are_the_tenants_and_a_name_that_is_markup_stays_text(
    page: Page, servers: Playground, pictures: Path
) -> None:
    said: list[str] = []
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(f"{servers.dagster.uri}/assets/registered_models?view=partitions&partition={TENANTS[0]}")

    wait_for(page, *TENANTS, "requests", "bytes_read", "preview", SHOWN_HOSTILE)

    page.get_by_text("bytes_read").scroll_into_view_if_needed()
    page.get_by_text(SHOWN_HOSTILE).first.scroll_into_view_if_needed()
    assert page.locator('img[src="x"]').count() == 0
    assert "\u202e" not in page.inner_text("body")
    assert said == []
    chromium.shoot(page, "partition", pictures)


def test_a_check_tells_which_model_lacks_a_privacy_assessment(page: Page, servers: Playground, pictures: Path) -> None:
    check = "production_privacy_assessment"
    page.goto(f"{servers.dagster.uri}/assets/compliance_results?view=checks&checkDetail={check}")

    wait_for(page, check, "need attention", "Evaluation result", "not evidenced", "verdict")

    # Its first page is that of the tenant that was judged last; each has one model that is not assessed.
    assert "fraud-detection" in page.inner_text("body") or "readmission-risk" in page.inner_text("body")

    chromium.shoot(page, "checks", pictures)


def test_a_backfill_that_a_person_launches_turns_green(page: Page, servers: Playground, pictures: Path) -> None:
    page.goto(f"{servers.dagster.uri}/locations/verifywise_mlflow/jobs/sync_tenant")
    page.get_by_role("button", name="Materialize all").first.click()
    page.get_by_text("All", exact=True).click()
    page.get_by_role("button", name="Launch backfill").click()

    backfill = _wait_for_success(servers)

    page.goto(f"{servers.dagster.uri}/runs/b/{backfill}")
    wait_for(page, backfill, "Succeeded", "100% completed")
    chromium.shoot(page, "backfill", pictures)


def _wait_for_success(servers: Playground) -> str:
    deadline = time.monotonic() + 300
    while True:
        runs = [
            (run, tag.value) for run in servers.dagster.api.sync_runs() for tag in run.tags if "backfill" in tag.key
        ]
        assert {run.status for run, _ in runs} <= {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "SUCCESS"}
        if [run.status for run, _ in runs] == ["SUCCESS"] * len(TENANTS):
            assert {run.tenant_id for run, _ in runs} == set(TENANTS)
            return runs[0][1]
        assert time.monotonic() < deadline, runs
        time.sleep(0.5)


@pytest.mark.timeout(900)  # a schedule ticks every other minute
def test_a_tenant_whose_server_is_down_is_late_and_told_of_once_until_it_is_back(
    page: Page, servers: Playground, mlflow_uri: str
) -> None:
    with proxy_before(mlflow_uri) as proxy:
        described = {"tracking_uri": proxy.uri, "allow_private_network": True, "workspace": "default"}
        servers.describe("initech", described)
        servers.evaluate("tenants")
        _wait_for_run(servers, "initech", "SUCCESS", asked_by="dagster/sensor_name")

        proxy.fault = always(reset_before_answer)
        _let_pass(servers, "initech", timedelta(hours=3))
        _wait_for_run(servers, "initech", "FAILURE", asked_by="dagster/schedule_name")
        servers.evaluate("late_tenants", "alerts")
        servers.evaluate("late_tenants", "alerts")
        page.goto(f"{servers.dagster.uri}/assets/canonical_records?view=checks&checkDetail=fresh")
        wait_for(page, "not gone through in time: registered_models, ", "the last sync ended failed at ")
        assert sorted(_alerts(servers, "initech")) == ["sync failed raised", "tenant late raised"]

        proxy.fault = lambda _: None
        servers.dagster.api.launch("initech")
        _wait_for_run(servers, "initech", "SUCCESS", asked_by=None)
        servers.evaluate("late_tenants", "alerts")
        page.reload()
        wait_for(page, "each stage was gone through in time")
        assert sorted(_alerts(servers, "initech")) == [
            *("sync failed raised", "sync failed resolved"),
            *("tenant late raised", "tenant late resolved"),
        ]


def _let_pass(servers: Playground, tenant: str, ago: timedelta) -> None:
    """Let a tenant have been synced so long ago."""
    with Store(servers.environment["VERIFYWISE_DATABASE_URL"]) as store, store.begin(tenant) as connection:
        for stage in Stage:
            tenancy.note_refresh(connection, tenant, stage, "a sync", datetime.now(UTC) - ago, reconciled=True)


def _wait_for_run(servers: Playground, tenant: str, status: str, *, asked_by: str | None) -> None:
    """Wait for a run that a sensor or a schedule has asked for, told by its tag; or a person, whose run has neither."""
    deadline = time.monotonic() + 300
    while True:
        seen = [
            (run.status, next((tag.key for tag in run.tags if tag.key in ASKED_BY), None))
            for run in servers.dagster.api.sync_runs()
            if run.tenant_id == tenant
        ]
        if (status, asked_by) in seen:
            return
        assert time.monotonic() < deadline, seen
        time.sleep(0.5)


def _alerts(servers: Playground, tenant: str) -> list[str]:
    """Return the alerts of a tenant, as the code server's log has them: their kind and their state."""
    log = (servers.home / "dagsters-code-server.log").read_text()
    return [f"{kind} {state}" for kind, state in re.findall(rf"Z ([a-z ]+) {tenant} (raised|resolved): ", log)]
