"""Which of Dagster's runs may be deleted. Pure: what is kept, what is asked for and the time are arguments.

Dagster deletes none of them by itself. Our own history is none of theirs: it is in our store, and stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from verifywise_mlflow.dagster_yaml import whole_number

UNCHANGED: Final = "verifywise/unchanged"
"""The tag of a run that changed nothing of what we keep."""

Line: TypeAlias = tuple[str, str | None]
"""What runs follow each other in: a tenant's, by the job that syncs it, or those of a job that is of no tenant."""


@dataclass(frozen=True, slots=True)
class Kept:
    """For how long runs are kept, whatever they are."""

    runs: timedelta
    unchanged: timedelta

    @classmethod
    def by(cls, environment: Mapping[str, str]) -> Kept:
        """Return what the environment variables say.

        Raises:
            UnusableVariableError: one of them does not hold a number of days.
        """
        runs = timedelta(days=whole_number(environment, "VERIFYWISE_KEEP_RUNS_DAYS"))
        unchanged = timedelta(days=whole_number(environment, "VERIFYWISE_KEEP_UNCHANGED_RUNS_DAYS"))
        return cls(runs, min(runs, unchanged))


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that has ended, as far as it matters here."""

    run_id: str
    line: Line
    created_at: datetime
    succeeded: bool
    did_nothing: bool
    """It changed nothing, or was taken out of the queue before it began."""
    backfill: str | None


@dataclass(frozen=True, slots=True)
class Needed:
    """What cannot go, however old it is."""

    newest: Mapping[Line, datetime]
    """When the newest run was asked for that went through all that its line is about, and succeeded. What is older
    tells nothing of how things are now: status, check results and figures on Dagster's pages are those of this one."""
    backfills: frozenset[str]
    """Those under way: Dagster counts their runs."""
    runs: frozenset[str]
    """Those that a run under way tries again."""


def may_go(run: EndedRun, kept: Kept, needed: Needed, now: datetime) -> bool:
    """Return whether a run may be deleted."""
    if now - run.created_at <= (kept.unchanged if run.did_nothing else kept.runs):
        return False
    if run.backfill in needed.backfills or run.run_id in needed.runs:
        return False
    newest = needed.newest.get(run.line)
    return not run.succeeded or (newest is not None and run.created_at < newest)
