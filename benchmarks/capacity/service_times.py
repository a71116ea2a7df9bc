"""The measured constants of the model and of the simulation, each with the command that measured it.

All constants were measured on two cores, and CPU times are valid for such a core. ``python -m
benchmarks.capacity.measure`` measures again and prints both values. Estimated constants have not been measured
separately. On a machine without other work, the part ``services`` of this command measures most of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Final

ESTIMATED: Final = "estimated: "
_MEASURE: Final = "python -m benchmarks.capacity.measure"


def _measured(value: float, unit: str, what: str, source: str) -> float:
    """Declare a constant, with the command that measured it."""
    constant: float = field(default=value, metadata={"unit": unit, "what": what, "source": source})
    return constant


def _estimated(value: float, unit: str, what: str, source: str) -> float:
    """Declare a constant that was not measured separately, with the source of the estimate."""
    return _measured(value, unit, what, f"{ESTIMATED}{source}")


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """The time or size of each piece of work. The metadata of each field has its unit, its meaning and its source."""

    parse_tenant: float = _measured(
        0.17, "ms of CPU", "to parse one tenant of tenants.yaml, in each tick and in each run", f"{_MEASURE} file"
    )
    decide_tenant: float = _measured(
        0.0033, "ms of CPU", "to decide in a tick whether a tenant is due, and what its poll means", f"{_MEASURE} file"
    )
    transaction: float = _measured(
        1.2, "ms of CPU", "of a tick for one tenant's transaction in the store", f"{_MEASURE} store"
    )
    transaction_wait: float = _estimated(
        0.8, "ms", "that the transaction waits for Postgres in addition", "an idle machine"
    )
    poll: float = _measured(
        1.9, "ms of CPU", "for a request for the newest version, without its transaction", f"{_MEASURE} polls"
    )
    listing: float = _measured(
        7.9, "ms of CPU", "to compare the listings of an empty registry, without the transaction", f"{_MEASURE} polls"
    )
    listed_version: float = _measured(0.085, "ms of CPU", "for each version of such a listing", f"{_MEASURE} polls")
    read_run: float = _estimated(
        0.15,
        "ms of CPU",
        "to read one queued or running run from Dagster's database",
        "python -m benchmarks.backfill: a check of 200 queued runs takes 35 ms",
    )
    submit: float = _estimated(
        200.0, "ms", "of a daemon's thread to submit one run", "100 requests of one sensor took 17 to 23 s"
    )
    submit_cpu: float = _estimated(
        60.0,
        "ms of CPU",
        "of the daemon for that",
        "python -m benchmarks.backfill: the daemon's time without its checks of the queue",
    )
    launch: float = _estimated(60.0, "ms", "of the daemon's queue thread to launch one run", "twice its CPU time")
    launch_cpu: float = _estimated(
        30.0,
        "ms of CPU",
        "of the daemon for that",
        "python -m benchmarks.backfill: the daemon's time without its checks of the queue",
    )
    sync: float = _measured(
        1_400.0,
        "ms of CPU",
        "for a sync without changes, with its share of the worker",
        "python -m benchmarks.distributed",
    )
    sync_wait: float = _estimated(
        300.0,
        "ms",
        "that such a sync waits for its process and for Postgres",
        "starting a forked process, and Postgres",
    )
    synced_version: float = _measured(
        0.028, "ms of CPU", "of a sync for each version without a change", "python -m benchmarks.database_cost 100000"
    )
    changed_version: float = _measured(
        2.2, "ms of CPU", "of a sync for each changed version", "python -m benchmarks.database_cost 100000"
    )
    reconciled_run: float = _measured(
        0.15, "ms of CPU", "of a sync for each run that it reads again", "python -m benchmarks.connector runs"
    )
    served_run: float = _measured(
        2.0, "ms of CPU", "of an MLflow server for each run that it returns", "python -m benchmarks.connector open"
    )
    served_request: float = _measured(
        15.0, "ms", "of an MLflow server for any other request", "python -m benchmarks.connector open"
    )
    sync_variation: float = _estimated(
        0.3, "", "standard deviation of a sync's time, relative to its mean", "not measured"
    )
    postgres_sync: float = _estimated(
        400.0,
        "ms of CPU",
        "of Postgres for a sync without changes, in both databases",
        "python -m benchmarks.database_cost, and a hundred rows of events",
    )
    wal_sync: float = _estimated(
        600.0,
        "kB",
        "of write-ahead log for such a sync, in both databases",
        "twice the bytes that python -m benchmarks.overhead counts",
    )
    connections: float = _estimated(
        6.0,
        "",
        "connections of a running sync, in both databases, at most",
        "the pools of the store and of Dagster, the lock, the lease",
    )
    service_connections: float = _estimated(
        20.0, "", "connections of the daemon, the code server and the webserver, at most", "the pools of three services"
    )
    run_bytes: float = _estimated(
        400.0,
        "kB",
        "on disk in Dagster's database for each retained run",
        "the bytes that python -m benchmarks.overhead counts, and a quarter for indexes",
    )
    sync_bytes: float = _measured(
        3.0,
        "kB",
        "on disk in the store for each sync without changes: its entry in the audit trail",
        f"{_MEASURE} store",
    )
    version_bytes: float = _measured(
        27.0,
        "kB",
        "on disk in the store for each version, with its run, manifest, record and verdicts",
        f"{_MEASURE} store",
    )
    change_bytes: float = _measured(
        29.0, "kB", "on disk in the store for each changed version: former states and events", f"{_MEASURE} store"
    )


MEASURED: Final = ServiceTimes()


@dataclass(frozen=True, slots=True)
class Constant:
    """One row of the table."""

    name: str
    value: float
    unit: str
    what: str
    source: str
    """The command that measured the constant, or the source of the estimate."""


def constants(times: ServiceTimes = MEASURED) -> Iterator[Constant]:
    """Yield each constant with its meaning."""
    for each in fields(times):
        metadata = each.metadata
        yield Constant(each.name, getattr(times, each.name), metadata["unit"], metadata["what"], metadata["source"])
