"""The parts of the time until a run's first call, from the run's event log."""

from __future__ import annotations

import logging

import dagster as dg
from dagster._core.events import EngineEventData  # Dagster refuses an event of the engine without a message

from benchmarks.distributed.first_call import FirstCall, first_call, median_of

Kind = dg.DagsterEventType


def entry(timestamp: float, kind: dg.DagsterEventType, message: str = "") -> dg.EventLogEntry:
    data = EngineEventData() if kind is Kind.ENGINE_EVENT else None
    event = dg.DagsterEvent(kind.value, "sync_tenant", event_specific_data=data, message=message)
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None, level=logging.INFO, user_message="", run_id="r", timestamp=timestamp, dagster_event=event
    )


def test_the_parts_are_the_times_between_the_events_and_the_launcher_s_part_has_no_queue() -> None:
    log = [
        entry(100.25, Kind.RUN_ENQUEUED),
        entry(101.25, Kind.RUN_STARTING),
        entry(101.5, Kind.ENGINE_EVENT, "Creating Celery run worker job task"),
        entry(102.25, Kind.ENGINE_EVENT, "Started process for run (pid: 7)."),
        entry(102.5, Kind.RUN_START),
        entry(102.75, Kind.STEP_START),
        entry(109.0, Kind.STEP_START),
    ]

    call = first_call(100.0, log, called_at=103.75)

    assert call == FirstCall(0.25, 1.0, 1.0, 0.25, 0.25, 1.0)
    assert (call.after_launch, call.in_all) == (2.5, 3.75)


def test_each_part_has_its_own_median() -> None:
    calls = [FirstCall(1, 6, 0, 0, 0, 0), FirstCall(2, 5, 0, 0, 0, 0), FirstCall(9, 4, 0, 0, 0, 0)]

    assert median_of(calls) == FirstCall(2, 5, 0, 0, 0, 0)
