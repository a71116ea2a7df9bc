from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.pipeline.store_outage_guard import (
    FolderHistory,
    OutageDecision,
    StoreReading,
    decide_outage,
)

RECORD, HOLD = OutageDecision(False, False), OutageDecision(True, True)


def no_request() -> bool:
    raise AssertionError("the canary is asked although the folders decide")


@pytest.mark.parametrize(
    ("reading", "decision"),
    [
        (StoreReading(emptied=2, never_read=0, readable=0), HOLD),
        (StoreReading(emptied=2, never_read=0, readable=1_000), HOLD),
        (StoreReading(emptied=5, never_read=3, readable=9), HOLD),
        (StoreReading(emptied=0, never_read=2, readable=1), OutageDecision(False, True)),
        (StoreReading(emptied=0, never_read=14, readable=0), OutageDecision(False, True)),
        (StoreReading(emptied=1, never_read=2, readable=0), HOLD),
        (StoreReading(emptied=0, never_read=1, readable=0), RECORD),
    ],
)
def test_several_empty_folders_are_held_back_without_a_request(reading: StoreReading, decision: OutageDecision) -> None:
    assert decide_outage(reading, no_request) == decision


@pytest.mark.parametrize(
    "reading",
    [
        StoreReading(emptied=1, never_read=0, readable=0),
        StoreReading(emptied=1, never_read=0, readable=9),
        StoreReading(emptied=0, never_read=1, readable=9),
        StoreReading(emptied=0, never_read=3, readable=3),
    ],
)
def test_in_doubt_the_canary_decides(reading: StoreReading) -> None:
    assert decide_outage(reading, lambda: True) == RECORD
    assert decide_outage(reading, lambda: False) == HOLD


@given(st.builds(StoreReading, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)))
def test_no_folder_that_had_files_is_recorded_as_empty_while_the_store_shows_nothing(reading: StoreReading) -> None:
    decision = decide_outage(reading, lambda: False)

    assert not reading.emptied or decision.holds(FolderHistory.HAD_FILES)
    assert not decision.holds(FolderHistory.WAS_EMPTY)
