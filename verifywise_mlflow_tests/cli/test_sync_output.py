"""A server's texts in the output of a sync have no effect on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from verifywise_mlflow.cli.sync_outcome import print_overview, print_reports
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.compliance.gap_urgency import Gap, UrgentGap
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.persistence.queries.overview import Overview
from verifywise_mlflow.pipeline.context import Note, Progress, ReadFailure, StageReport

HOSTILE = "\x1b[31mred\x07\u202egnp[/]\nforged: compliant"


def test_names_and_reasons_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(read_failures=[ReadFailure("model version", HOSTILE, HOSTILE)], notes=[Note(HOSTILE)])
    print_reports([StageReport(Stage.MODEL_VERSIONS, progress, requests=1, bytes_read=1, seconds=0.0)])
    gap = Gap(HOSTILE, HOSTILE, 1, "production", "fail", HOSTILE, datetime(2026, 3, 1, tzinfo=UTC))
    print_overview("acme", Overview(1, 1, {"gaps": 1}, [UrgentGap(Severity.HIGH, gap)]))

    output = capsys.readouterr().out

    assert "gnp[/]" in output
    assert not {"\x1b", "\x07", "\u202e"} & set(output)
    assert not any(line.startswith("forged") for line in output.splitlines())
