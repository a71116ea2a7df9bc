"""Dagster's pages in a real browser show what docs/how-to/dagster-tour.md says. ``make pictures`` saves them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Page

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.demo.registry_seeding import TENANTS
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.browser import chromium
from verifywise_mlflow_tests.browser.chromium import wait_for
from verifywise_mlflow_tests.browser.reader import Reader
from verifywise_mlflow_tests.browser.running_dagster import HOSTILE, RunningDagster, dagster_of
from verifywise_mlflow_tests.demo.running_demo import CODE, RunningDemo
from verifywise_mlflow_tests.support.proxy import Proxy, always, proxy_before, reset_before_response

pytestmark = [pytest.mark.slow(seconds=250), pytest.mark.timeout(600)]

ACME, GLOBEX = TENANTS
STAGES = [
    *("registered_models", "model_versions", "training_runs", "artifact_manifests"),
    *("canonical_records", "compliance_results"),
]
SHOWN_HOSTILE = HOSTILE.replace("\u202e", "\\u202e")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of the browser. It is requested before other fixtures: without a browser, no server needs to start."""
    with chromium.page() as page:
        yield page


@pytest.fixture(scope="module")
def servers(page: Page, demo: RunningDemo) -> RunningDagster:
    return dagster_of(demo)


@pytest.fixture(scope="module")
def outage(page: Page, servers: RunningDagster) -> Iterator[Proxy]:
    """A third tenant whose server fails after a sync. It starts early, since a schedule ticks every other minute."""
    with proxy_before(servers.demo.mlflow_uri) as proxy:
        tenant_settings = {"tracking_uri": proxy.uri, "allow_private_network": True, "workspace": "default"}
        servers.describe("initech", {**tenant_settings, "limits": {"max_attempts": 1}})
        chromium.park(page)
        servers.evaluate("tenants")
        servers.wait_for_run("initech", "SUCCESS", launched_by="dagster/sensor_name")

        proxy.fault = always(reset_before_response)
        _age_last_sync(servers, "initech", timedelta(hours=3))
        yield proxy


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return Path(os.environ.get("VERIFYWISE_PICTURES", tmp_path))


def test_lineage_begins_at_the_servers_and_has_the_six_stages(
    page: Page, servers: RunningDagster, pictures: Path
) -> None:
    chromium.resize(page, 1680, 620)  # seven in a row
    page.goto(f"{servers.uri}/locations/verifywise_mlflow/asset-groups/model_governance/lineage")
    page.reload()

    wait_for(page, *STAGES, "mlflow_server")
    chromium.wait_until(page, chromium.GREEN, STAGES)

    chromium.take_screenshot(page, "lineage", pictures)


def test_partitions_are_tenants_and_a_name_with_markup_is_shown_as_text(
    page: Page, servers: RunningDagster, pictures: Path
) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    chromium.resize(page, 1440, 1240)
    page.goto(f"{servers.uri}/assets/registered_models?view=partitions&partition={TENANTS[0]}")

    wait_for(page, *TENANTS, "requests", "bytes_read", "preview", SHOWN_HOSTILE)

    assert page.locator('img[src="x"]').count() == 0
    assert "\u202e" not in page.inner_text("body")
    assert dialogs == []
    chromium.take_screenshot(page, "partition", pictures)


def test_six_clicks_show_which_production_models_lack_a_privacy_assessment(
    page: Page, servers: RunningDagster, pictures: Path
) -> None:
    chromium.resize(page, 1680, 960)
    reader = Reader(page, servers.uri)
    reader.click("Catalog", "compliance_results")
    reader.open_tab("Checks")
    reader.look_up("Filter checks", "privacy")
    reader.click("production_privacy_assessment")
    reader.sees("Execution history")
    reader.open_tab("Partitions")

    reader.sees("Failed (2)")  # acme-bank's is the model with the hostile name
    reader.choose(GLOBEX)
    reader.sees("need attention", "readmissionRisk", "The recorded privacy assessment is 'in_progress'")
    assert reader.clicks == 6
    chromium.take_screenshot(page, "privacy", pictures)


def test_four_clicks_show_what_changed_today(
    page: Page, servers: RunningDagster, monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> None:
    monkeypatch.setenv("MLFLOW_WORKSPACE", ACME)
    client = MlflowClient(servers.demo.mlflow_uri)
    client.set_model_version_tag("fraud-detection", "2", "owner", "newly-named@acme.example")
    chromium.park(page)
    servers.sync(ACME)

    chromium.resize(page, 2000, 1000)
    reader = Reader(page, servers.uri)
    reader.click("Catalog", "canonical_records")
    reader.open_tab("Partitions")
    reader.choose(ACME)

    reader.sees("changed", "removed", "preview", "newly-named@acme.example")
    assert reader.clicks == 4
    assert "fraud-detection" in page.locator("table table tbody tr").first.inner_text()
    chromium.take_screenshot(page, "changed", pictures)


def test_a_backfill_that_a_person_launches_turns_green(page: Page, servers: RunningDagster, pictures: Path) -> None:
    page.goto(f"{servers.uri}/locations/verifywise_mlflow/jobs/sync_tenant")
    page.get_by_role("button", name="Materialize all").first.click()
    page.get_by_text("All", exact=True).click()
    with page.expect_response(lambda response: "LaunchPartitionBackfill" in (response.request.post_data or "")):
        page.get_by_role("button", name="Launch backfill").click()
    chromium.park(page)
    backfill = _wait_for_success(servers)

    page.goto(f"{servers.uri}/runs/b/{backfill}")
    wait_for(page, backfill, "100% completed")
    page.get_by_text("Succeeded", exact=True).nth(1).wait_for()  # the first is a column heading
    chromium.resize(page, 1280, 360)
    chromium.take_screenshot(page, "backfill", pictures)


def _wait_for_success(servers: RunningDagster) -> str:
    deadline = time.monotonic() + 300
    while True:
        runs = [(run, tag.value) for run in servers.api.sync_runs() for tag in run.tags if "backfill" in tag.key]
        assert {run.status for run, _ in runs} <= {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "SUCCESS"}
        if [run.status for run, _ in runs] == ["SUCCESS"] * len(TENANTS):
            assert {run.tenant_id for run, _ in runs} == set(TENANTS)
            return runs[0][1]
        assert time.monotonic() < deadline, runs
        time.sleep(1)


@pytest.mark.usefixtures("outage")
def test_an_asset_page_shows_its_description_owner_and_code_link(page: Page, servers: RunningDagster) -> None:
    chromium.resize(page, 1280, 1600)  # the catalog draws only the rows that are visible
    reader = Reader(page, servers.uri)

    reader.click("Catalog", "model_versions")

    reader.sees("Every version of every model in any status", "How to read it")
    reader.sees("model_governance", "data-platform", "MLflow", "Postgres", "stage: model_versions")
    reader.sees("verifywise_mlflow.model_versions", "The tenant's name in tenants.yaml.", "Source code")
    assert page.locator(f'a[href^="{CODE}/pipeline/stages/model_versions.py#L"]').count() == 1


@pytest.mark.usefixtures("outage")
def test_a_tenants_figures_are_plotted_over_its_syncs(page: Page, servers: RunningDagster, pictures: Path) -> None:
    chromium.resize(page, 1280, 720)
    reader = Reader(page, f"{servers.uri}/assets/compliance_over_time/{ACME}")

    reader.click("Plots")

    reader.sees("compliance_score")
    # A single point is about ten pixels wide.
    chromium.wait_until(page, chromium.DRAWN_FROM_LEFT_TO_RIGHT)
    page.get_by_text("open_gaps", exact=True).scroll_into_view_if_needed()
    chromium.take_screenshot(page, "plots", pictures)


@pytest.mark.timeout(900)  # a schedule ticks every other minute
def test_a_tenant_whose_server_is_down_is_stale_and_reported_once_until_it_recovers(
    page: Page, servers: RunningDagster, outage: Proxy, pictures: Path
) -> None:
    chromium.park(page)
    servers.evaluate("alerts")
    servers.wait_for_run("initech", "FAILURE", launched_by="dagster/schedule_name")
    servers.evaluate("stale_tenants", "alerts")
    chromium.resize(page, 1680, 900)
    reader = Reader(page, servers.uri)
    reader.click("Catalog", "canonical_records")
    reader.open_tab("Checks")
    reader.click("fresh")
    reader.sees("Execution history")
    reader.open_tab("Partitions")
    reader.sees("Failed (1)")
    reader.choose("initech")
    reader.sees("stale stages: registered_models, ", "Its last sync ended at ")
    assert reader.clicks == 6
    chromium.take_screenshot(page, "late", pictures)
    assert sorted(servers.alerts("initech")) == ["sync failed raised", "tenant stale raised"]

    outage.fault = lambda _: None
    results_page = page.url
    chromium.park(page)
    servers.sync("initech")
    servers.evaluate("alerts")
    page.goto(results_page)
    wait_for(page, "Each stage completed recently enough")
    assert sorted(servers.alerts("initech")) == [
        *("sync failed raised", "sync failed resolved"),
        *("tenant stale raised", "tenant stale resolved"),
    ]


def _age_last_sync(servers: RunningDagster, tenant: str, ago: timedelta) -> None:
    """Move the tenant's last sync back in time."""
    with Store(servers.demo.environment["VERIFYWISE_DATABASE_URL"]) as store, store.begin(tenant) as session:
        for stage in Stage:
            tenancy.record_refresh(session, stage, "a sync", datetime.now(UTC) - ago, reconciled=True)
