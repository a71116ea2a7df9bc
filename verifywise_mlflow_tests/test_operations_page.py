"""The pages on operations match the settings, and their examples load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from verifywise_mlflow.alerts.alert import AlertKind
from verifywise_mlflow.alerts.settings import load_alert_settings
from verifywise_mlflow.dagster_yaml import COMPUTE_LOG_DIR, LAUNCHER, LOG_LEVEL
from verifywise_mlflow.defs.jobs import RETRY_POLICY
from verifywise_mlflow.defs.run_queue import priorities
from verifywise_mlflow.defs.sensors.tick_limit import MAX_SYNCS_PER_TICK
from verifywise_mlflow.instance_settings import INTEGER_SETTINGS
from verifywise_mlflow_tests.support.documentation import code_blocks, read_page

VARIABLES = read_page("reference/environment-variables.md")
ALERTS = read_page("how-to/alerts.md")
RUN_QUEUE = read_page("explanation/run-queue.md")
CHANGE_DETECTION = read_page("explanation/change-detection.md")


def test_the_page_has_every_variable_with_its_default() -> None:
    names = (*INTEGER_SETTINGS, LOG_LEVEL, COMPUTE_LOG_DIR, LAUNCHER)
    assert [name for name in names if f"`{name}`" not in VARIABLES] == []
    defaults = dict(re.findall(r"^\| `(VERIFYWISE_\w+)` \| (\d+) \|", VARIABLES, re.MULTILINE))
    assert defaults
    assert {name: int(default) for name, default in defaults.items()} == {
        name: INTEGER_SETTINGS[name][0] for name in defaults
    }


def test_the_page_has_every_kind_of_alert() -> None:
    assert [kind for kind in get_args(AlertKind) if f"| `{kind}` |" not in ALERTS] == []


def test_the_alert_targets_in_the_page_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = code_blocks(ALERTS, "yaml")
    path = tmp_path / "alerts.yaml"
    path.write_text(example)
    monkeypatch.setenv("VERIFYWISE_ALERTS", str(path))

    assert [target.kind for target in load_alert_settings().targets] == ["log", "webhook", "email"]


def test_the_page_states_how_a_stage_is_retried() -> None:
    assert RETRY_POLICY.delay
    longest = 2 * RETRY_POLICY.delay  # the jitter adds or subtracts up to the whole delay

    assert (RETRY_POLICY.max_retries, f"once, within {longest} s" in RUN_QUEUE) == (1, True)


def test_the_pages_state_the_priorities_of_runs_and_the_limit_of_a_tick() -> None:
    section = RUN_QUEUE.partition("## Priorities\n")[2].partition("\n## ")[0]
    stated = [int(number) for number in re.findall(r"(-?\d+)\)", section)]
    constants = [value for name, value in vars(priorities).items() if name.endswith("_PRIORITY")]

    assert stated == sorted(constants, reverse=True)
    assert f"at most {MAX_SYNCS_PER_TICK} syncs" in CHANGE_DETECTION
