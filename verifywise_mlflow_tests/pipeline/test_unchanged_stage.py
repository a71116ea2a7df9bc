"""When a stage counts as unchanged."""

from __future__ import annotations

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.pipeline.context import Note, NoteKind, Progress, ReadFailure, StageReport

HELD_BACK = Note("26 of 26 model versions disappeared at once: the removal is held back")
SWITCHED_OFF = Note("manifests are switched off for this tenant", NoteKind.INFO)


@pytest.mark.parametrize(
    ("progress", "is_unchanged"),
    [
        (Progress(read=9, incomplete=2, notes=[HELD_BACK, SWITCHED_OFF]), True),
        (Progress(changed=1), False),
        (Progress(removed=1), False),
        (Progress(lifecycle_event_count=1), False),
        (Progress(read_failures=[ReadFailure("run", "a", "403")]), False),
    ],
)
def test_a_stage_with_nothing_but_recurring_notes_is_unchanged(progress: Progress, is_unchanged: bool) -> None:
    report = StageReport(Stage.ARTIFACT_MANIFESTS, progress, requests=0, bytes_read=0, seconds=0.1)

    assert report.is_unchanged is is_unchanged


def test_only_notes_that_need_attention_are_warnings() -> None:
    assert Progress(notes=[HELD_BACK, SWITCHED_OFF]).warnings == [HELD_BACK]
