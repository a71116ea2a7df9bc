"""The real user interface in a real browser: what the guide says is seen. ``make pictures`` keeps its pictures."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from verifywise_mlflow_tests.browser import chromium
from verifywise_mlflow_tests.browser.playground import HOSTILE, TENANTS, Playground, playground

pytestmark = pytest.mark.timeout(600)

STAGES = [
    *("registered_models", "model_versions", "training_runs", "artifact_manifests"),
    *("canonical_records", "compliance_results"),
]
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
