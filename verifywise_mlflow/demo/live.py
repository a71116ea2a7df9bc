"""The demo's live scene: ``verifywise-mlflow demo live`` removes an owner in MLflow, and the badge follows in seconds.

It runs in a second terminal and changes the registry of the running demo. A second call restores the owner.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import yaml
from rich.console import Console

from verifywise_mlflow.demo.errors import DagsterApiError, DemoError
from verifywise_mlflow.demo.progress import Progress
from verifywise_mlflow.demo.registries.bank_names import (
    CREDIT_SCORING,
    DOCUMENTED_VERSION,
    DOCUMENTED_VERSION_OWNER,
    TENANT,
)
from verifywise_mlflow.demo.servers.dagster_api import JOB, TARGETED_JOB, DagsterApi
from verifywise_mlflow.demo.servers.mlflow_api import MlflowApi
from verifywise_mlflow.demo.workdir import Workdir
from verifywise_mlflow.persistence.database import DATABASE_URL_VARIABLE, DatabaseError
from verifywise_mlflow.persistence.queries.version_filter import VersionFilter
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.badges import badge_report
from verifywise_mlflow.services.gaps import GapFilter, open_gaps
from verifywise_mlflow.tenants.loading import TENANTS_VARIABLE

OWNER_TAG: Final = "owner"
TIMEOUT_S: Final = 120.0
"""Seconds to wait for the badge. A busy machine may take ten times as long as an idle machine."""
POLL_S: Final = 0.1
_SUBJECT: Final = f"{CREDIT_SCORING}, version {DOCUMENTED_VERSION}, of {TENANT}"


@dataclass(frozen=True, slots=True)
class _RunningDemo:
    """The addresses of the running demo's servers."""

    database_url: str
    tracking_uri: str
    dagster_uri: str


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """The result of the last evaluation of the version."""

    badge: str
    verdicts: Mapping[str, int]


def run_live(home: Path, *, undo: bool) -> int:
    """Remove the owner's tag of a version, or restore it if it is missing, and wait until the badge follows.

    Args:
        home: The folder of the running demo.
        undo: Only restore the tag.

    Returns:
        The program's exit code: 0 if the badge followed, or if there was nothing to undo.
    """
    console = Console()
    try:
        demo = _running_demo(Workdir(home))
        with Store(demo.database_url) as store:
            return _play(Progress(console), demo, store, undo=undo)
    except (DemoError, DatabaseError) as error:
        console.print(f"The live scene failed: {error}", style="red", markup=False, highlight=False)
        return 1


def _running_demo(folder: Workdir) -> _RunningDemo:
    ports = folder.earlier_ports()
    try:
        assignments = [shlex.split(line)[1] for line in folder.environment_file.read_text().splitlines()]
        variables = dict(assignment.split("=", 1) for assignment in assignments)
        tenants = yaml.safe_load(folder.tenants_file.read_text())["tenants"]
    except OSError:
        ports = None
    if ports is None:
        raise DemoError(
            f"no demo runs in {folder.path}: name its folder with {_home_option()}, or start one with make demo and "
            "wait for its summary"
        )
    return _RunningDemo(
        variables[DATABASE_URL_VARIABLE], tenants[TENANT]["tracking_uri"], f"http://127.0.0.1:{ports.dagster}"
    )


def _home_option() -> str:
    """Return the option ``--home``, with the demo's folder if the variables that the summary lists are set."""
    tenants_file = os.environ.get(TENANTS_VARIABLE)
    if tenants_file and (home := Workdir(Path(tenants_file).parent)).environment_file.exists():
        return f"--home {shlex.quote(str(home.path))}"
    return "--home"


def _play(progress: Progress, demo: _RunningDemo, store: Store, *, undo: bool) -> int:
    mlflow = MlflowApi(demo.tracking_uri, TENANT)
    has_owner = OWNER_TAG in mlflow.version_tags(CREDIT_SCORING, DOCUMENTED_VERSION)
    if undo and has_owner:
        progress.say(f"{_SUBJECT} has its owner: there is nothing to undo")
        return 0
    before = _evaluation(store)
    progress.say(f"{_SUBJECT}: {before.badge}")
    began_at = datetime.now(UTC)
    if has_owner:
        mlflow.delete_version_tag(CREDIT_SCORING, DOCUMENTED_VERSION, OWNER_TAG)
        progress.say(f"Removed the tag {OWNER_TAG} in MLflow")
    else:
        mlflow.set_version_tag(CREDIT_SCORING, DOCUMENTED_VERSION, OWNER_TAG, DOCUMENTED_VERSION_OWNER)
        progress.say(f"Restored the tag {OWNER_TAG} in MLflow")
    changed = time.monotonic()
    with progress.step("Waiting for the new verdict"):
        after = _changed_evaluation(store, before)
    waited_s = time.monotonic() - changed
    if after is None:
        progress.say(
            f"No new verdict within {TIMEOUT_S:.0f} s. Polling finds the change within five minutes; "
            f"{demo.dagster_uri}/runs shows the syncs, and the logs are in the demo's folder"
        )
        return 1
    progress.say(f"{_SUBJECT}: {after.badge}, {waited_s:.1f} s after MLflow confirmed the change")
    for sentence in _gaps(store):
        progress.say(f"  {sentence}")
    progress.say(_how_it_was_noticed(store, began_at))
    progress.say(f"In Dagster: {_page(demo, began_at)}")
    if has_owner:
        progress.say("The same command restores the tag")
    return 0


def _evaluation(store: Store) -> _Evaluation:
    with store.begin_snapshot(TENANT) as session:
        report = badge_report(session, CREDIT_SCORING, DOCUMENTED_VERSION, datetime.now(UTC))
    if report is None:
        raise DemoError(f"{_SUBJECT}, was not evaluated yet: wait for the demo's first sync")
    return _Evaluation(report.badge, report.verdicts)


def _changed_evaluation(store: Store, before: _Evaluation) -> _Evaluation | None:
    """Return the first evaluation with another badge. After the timeout, return any other new evaluation, or None."""
    now, deadline = before, time.monotonic() + TIMEOUT_S
    while now.badge == before.badge and time.monotonic() < deadline:
        time.sleep(POLL_S)
        now = _evaluation(store)
    return now if now != before else None


def _gaps(store: Store) -> list[str]:
    """Return a line about each open gap of the version that is not waived."""
    wanted = GapFilter(VersionFilter(models=(CREDIT_SCORING,), stages=("production",)), is_waived=False)
    with store.begin_snapshot(TENANT) as session:
        gaps = [
            gap for gap in open_gaps(session, datetime.now(UTC), wanted) if gap.version_number == DOCUMENTED_VERSION
        ]
    return [f"{gap.severity}: {gap.verdict}: {gap.rule_id}: {gap.reason}" for gap in gaps]


def _how_it_was_noticed(store: Store, began_at: datetime) -> str:
    with store.begin_snapshot(TENANT) as session:
        last_event_at = change_hints.status(session).last_event_at
    if last_event_at is None or last_event_at < began_at:
        return "No webhook reported the change: polling found it"
    return f"MLflow's webhook arrived after {(last_event_at - began_at).total_seconds():.1f} s"


def _page(demo: _RunningDemo, began_at: datetime) -> str:
    """Return the page of the run that read the change, or the asset's page if that run cannot be found."""
    try:
        api = DagsterApi(demo.dagster_uri)
        runs = [run for job in (TARGETED_JOB, JOB) for run in api.sync_runs(job)]
    except DagsterApiError:
        runs = []
    since = began_at.timestamp()
    for run in runs:
        if run.tenant_id == TENANT and run.created >= since:
            return f"{demo.dagster_uri}/runs/{run.run_id}"
    return f"{demo.dagster_uri}/assets/compliance_results?partition={TENANT}&view=partitions"
