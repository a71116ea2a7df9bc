"""The versions to compare with the log of states: versions in the log, a sample, and models that are not in the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import text

from verifywise_mlflow.persistence.batch_limits import ROWS_PER_FETCH
from verifywise_mlflow.persistence.queries.version_ranges import VersionRange
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA

VERSION_TABLES: Final = (
    *("canonical_records", "canonical_record_history", "version_verdicts", "version_verdict_history"),
    *("compliance_badges", "compliance_badge_history", "artifact_manifests", "lifecycle_events", "integrity_events"),
)
"""The tables with states of versions."""

_LOGGED_MODELS: Final = text(
    f"SELECT model_name, count(*) FROM {SCHEMA}.state_log WHERE tenant_id = :tenant_id GROUP BY model_name"  # noqa: S608
).execution_options(yield_per=ROWS_PER_FETCH)
_LOGGED_VERSIONS: Final = text(
    f"""
    SELECT version_number, count(*) FROM {SCHEMA}.state_log WHERE tenant_id = :tenant_id AND model_name = :name
    GROUP BY version_number ORDER BY version_number
    """  # noqa: S608
).execution_options(yield_per=ROWS_PER_FETCH)
_UNLOGGED_MODELS: Final = text(
    f"""
    ({
        " UNION ".join(
            f"SELECT model_name FROM {SCHEMA}.{table} WHERE tenant_id = :tenant_id" for table in VERSION_TABLES
        )
    })
    EXCEPT SELECT model_name FROM {SCHEMA}.state_log WHERE tenant_id = :tenant_id
    """  # noqa: S608
).execution_options(yield_per=ROWS_PER_FETCH)
_NUMBERS: Final = text(
    " UNION ".join(
        f"SELECT coalesce(version_number, 0) AS number FROM {SCHEMA}.{table} WHERE tenant_id = :tenant_id"  # noqa: S608
        " AND model_name = :name AND coalesce(version_number, 0) BETWEEN :first AND :last"
        for table in ("state_log", *VERSION_TABLES)
    )
)
_SAMPLE: Final = text(
    f"""
    SELECT model_name, version_number, count(*) FROM {SCHEMA}.state_log
    WHERE tenant_id = :tenant_id AND version_number > 0
    GROUP BY model_name, version_number
    ORDER BY sha256(convert_to(concat_ws('/', CAST(:seed AS text), model_name, version_number), 'UTF8')),
             model_name, version_number
    LIMIT :size
    """  # noqa: S608
)


def logged_ranges(session: TenantSession, max_states: int) -> Iterator[tuple[VersionRange, int]]:
    """Yield ranges of all versions in the log, each range with its number of states in the log.

    A range is a model, or a part of a model that has more than ``max_states``. The ranges of a model together have all
    numbers, including the numbers that the log does not have. The name '' is for states that belong to no model.
    """
    for name, states in session.execute(_LOGGED_MODELS, {"tenant_id": session.tenant_id}):
        if states <= max_states:
            yield VersionRange(name), states
        else:
            yield from _parts(session, name, max_states)


def _parts(session: TenantSession, name: str, max_states: int) -> Iterator[tuple[VersionRange, int]]:
    part, states = VersionRange(name), 0
    for number, count in session.execute(_LOGGED_VERSIONS, {"tenant_id": session.tenant_id, "name": name}):
        if states and states + count > max_states:
            yield part._replace(last=number - 1), states
            part, states = part._replace(first=number), 0
        states += count
    yield part, states


def sampled_keys(session: TenantSession, size: int, seed: str) -> list[tuple[Key, int]]:
    """Return versions for a sample: the versions with the lowest SHA-256 of seed, name and number, joined by slashes.

    So an auditor who chooses the seed knows which versions the sample must have.
    """
    rows = session.execute(_SAMPLE, {"tenant_id": session.tenant_id, "seed": seed, "size": size})
    return [((name, number), count) for name, number, count in rows]


def unlogged_models(session: TenantSession) -> Iterator[VersionRange]:
    """Yield the models that have rows, but no state in the log."""
    for (name,) in session.execute(_UNLOGGED_MODELS, {"tenant_id": session.tenant_id}):
        yield VersionRange(name)


def version_numbers(session: TenantSession, versions: VersionRange) -> list[int]:
    """Return the numbers in a range that have states or rows, sorted."""
    name, first, last = versions
    parameters = {"tenant_id": session.tenant_id, "name": name, "first": first, "last": last}
    return sorted(session.scalars(_NUMBERS, parameters))
