"""The page on operations names what there is, and its example can be used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from verifywise_mlflow.alerts.alert import AlertKind
from verifywise_mlflow.alerts.settings import alert_settings
from verifywise_mlflow.dagster_yaml import COMPUTE_LOGS, LOG_LEVEL, WHOLE_NUMBERS
from verifywise_mlflow.defs.jobs import RETRY

PAGE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")


def test_the_page_has_every_variable_with_its_default() -> None:
    assert [name for name in (*WHOLE_NUMBERS, LOG_LEVEL, COMPUTE_LOGS) if f"`{name}`" not in PAGE] == []
    told = dict(re.findall(r"^\| `(VERIFYWISE_\w+)` \| (\d+) \|", PAGE, re.MULTILINE))
    assert told
    assert {name: int(default) for name, default in told.items()} == {name: WHOLE_NUMBERS[name][0] for name in told}


def test_the_page_has_every_kind_of_alert() -> None:
    assert [kind for kind in get_args(AlertKind) if f"| `{kind}` |" not in PAGE] == []


def test_the_pages_alerts_file_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "alerts.yaml"
    path.write_text(example)
    monkeypatch.setenv("VERIFYWISE_ALERTS", str(path))

    assert [target.kind for target in alert_settings().targets] == ["log", "webhook", "email"]


def test_the_page_tells_how_a_stage_is_tried_again() -> None:
    assert (RETRY.max_retries, f"once, after some {RETRY.delay} s" in PAGE) == (1, True)
