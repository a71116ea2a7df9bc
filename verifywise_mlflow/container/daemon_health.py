"""Checks whether Dagster's daemon is alive, by its newest heartbeat in Dagster's database.

``dagster-daemon liveness-check`` imports Dagster, which takes two seconds of CPU, and checks each thread. That is not
needed here: the daemon exits when one of its threads has died or has sent no heartbeat for half an hour. The daemon
cannot notice that it hangs as a whole, or has lost the database. Then no thread sends heartbeats, so it is enough to
check the newest heartbeat.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psycopg2
import yaml

TOLERANCE: Final = "DAGSTER_DAEMON_HEARTBEAT_TOLERANCE"
"""Dagster's variable: seconds that a heartbeat may be late."""
_TOLERANCE_SECONDS: Final = 300
"""The default tolerance: ten times the half minute between two heartbeats of a thread."""
_INTERVAL_SECONDS: Final = 30
_CONNECT_SECONDS: Final = 5
_COMMAND_SECONDS: Final = 60
"""The timeout of Dagster's own check: its imports take 2 s of CPU, over 30 s on an overloaded machine."""
_NEWEST: Final = "SELECT extract(epoch FROM max(timestamp)) FROM daemon_heartbeats"  # the column is UTC


def daemon_problem(environment: Mapping[str, str], now: float) -> str | None:
    """Return why the daemon is not healthy at ``now``, in seconds since the epoch; None if it is healthy."""
    try:
        database = database_of(_instance_file(environment), environment)
    except (OSError, yaml.YAMLError) as error:
        return f"dagster.yaml cannot be read: {type(error).__name__}"
    if database is None:
        return _answer_of_dagster(environment)
    try:
        newest = _newest_heartbeat(database)
    except psycopg2.Error as error:
        return f"Dagster's database cannot be read: {str(error).strip().partition(chr(10))[0][:200]}"
    if newest is None:
        return "The daemon has not reported yet"
    age, allowed = now - newest, _INTERVAL_SECONDS + tolerance_seconds(environment)
    return None if age <= allowed else f"The daemon's last heartbeat is {age:.0f} s old; {allowed} s are allowed"


def tolerance_seconds(environment: Mapping[str, str]) -> int:
    """Return how many seconds a heartbeat may be late."""
    text = environment.get(TOLERANCE, "").strip()
    return int(text) if text.isascii() and text.isdigit() else _TOLERANCE_SECONDS


def database_of(instance: object, environment: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return the parameters of a connection to Dagster's database, from the content of dagster.yaml.

    Returns:
        None if the storage is configured neither in our form nor in the form of Dagster's Helm chart.
    """
    match instance:
        case {"storage": {"postgres": {"postgres_db": dict(fields)}}}:
            pass
        case _:
            return None
    values = {name: _value(fields.get(name), environment) for name in _PARAMETERS}
    if not values["hostname"] or not values["db_name"]:
        return None
    named = {_PARAMETERS[name]: value for name, value in values.items() if value}
    return {**(fields.get("params") or {}), **named}


_PARAMETERS: Final[Mapping[str, str]] = {
    "hostname": "host",
    "port": "port",
    "username": "user",
    "password": "password",
    "db_name": "dbname",
}
"""Maps Dagster's names of the parameters to the names in Postgres' client library."""


def _value(field: object, environment: Mapping[str, str]) -> str:
    match field:
        case {"env": str(name)}:
            return environment.get(name, "")
        case str() | int():
            return str(field)
        case _:
            return ""


def _instance_file(environment: Mapping[str, str]) -> object:
    home = environment.get("DAGSTER_HOME") or ""
    return yaml.safe_load((Path(home) / "dagster.yaml").read_text(encoding="utf-8"))


def _newest_heartbeat(database: Mapping[str, Any]) -> float | None:
    connection = psycopg2.connect(**database, connect_timeout=_CONNECT_SECONDS)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_NEWEST)
            row = cursor.fetchone()
    finally:
        connection.close()
    return None if row is None or row[0] is None else float(row[0])


def _answer_of_dagster(environment: Mapping[str, str]) -> str | None:
    command = ["dagster-daemon", "liveness-check"]
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command line
            command, env=dict(environment), capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{' '.join(command)} took more than {_COMMAND_SECONDS} s"
    except OSError as error:
        return f"{command[0]} cannot be started: {error.strerror}"
    if done.returncode == 0:
        return None
    last_line = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
    return f"{' '.join(command)} exited with {done.returncode}: {last_line[:300]}"
