"""When a stage has found nothing new."""

from __future__ import annotations

import pytest

from verifywise_mlflow.pipeline.context import Progress, Stage, StageReport, Unreadable


@pytest.mark.parametrize(
    ("progress", "nothing_new"),
    [
        (Progress(read=9, incomplete=2, notes=["manifests are switched off for this tenant"]), True),
        (Progress(changed=1), False),
        (Progress(removed=1), False),
        (Progress(events=1), False),
        (Progress(unreadable=[Unreadable("run", "a", "403")]), False),
    ],
)
def test_a_note_that_comes_again_in_each_sync_is_nothing_new(progress: Progress, nothing_new: bool) -> None:
    assert StageReport(Stage.ARTIFACT_MANIFESTS, progress, 0, 0, 0.1).found_nothing_new is nothing_new
