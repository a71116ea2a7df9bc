"""The syncs that a tick of a sensor or a schedule requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.sensors.poll_cursor import PollCursor

JOB = "sync_tenant"


class TickingSensor:
    """A sensor that ticks on demand, with the cursor of its last tick. Every tenant is due in every tick."""

    def __init__(self, sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> None:
        self.sensor, self.instance = sensor, instance
        self.cursor = PollCursor()
        self.events: list[dg.AssetObservation] = []
        self.skip_message: str | None = None

    def tick(self) -> list[str]:
        """Return the tenants for which the tick requests a sync."""
        # The cursor states that the last tick was yesterday and all back-offs have ended.
        failing = {name: streak._replace(retry_at=0) for name, streak in self.cursor.failing.items()}
        since = datetime.now(UTC) - timedelta(days=1)
        cursor = self.cursor.model_copy(update={"ticked_at": since, "failing": failing}).to_json()
        with dg.build_sensor_context(instance=self.instance, cursor=cursor) as context:
            result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = PollCursor.from_json(result.cursor)
        self.events += [event for event in result.asset_events if isinstance(event, dg.AssetObservation)]
        self.skip_message = result.skip_reason.skip_message if result.skip_reason else None
        return [str(request.partition_key) for request in result.run_requests or []]


def requested_by(
    schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, *, after: timedelta | None = None
) -> list[str]:
    """Return the tenants for which a schedule requests a sync, ``after`` from now."""
    evaluated_at = datetime.now(UTC) + (after or timedelta(0))
    repository = defs.get_repository_def()
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=evaluated_at, repository_def=repository
    ) as context:
        data = schedule.evaluate_tick(context)
    return [str(request.partition_key) for request in data.run_requests or []]
