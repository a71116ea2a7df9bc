"""How a tenant's verdicts count, kept until something changes that they are counted from.

Counting takes seconds where there are millions of verdicts, and most syncs change none. Triggers move a revision with
each change of a record, a verdict or a badge, whoever makes it, in the same transaction; the kept counts hold while the
revision, and the waivers that hold, are those of the counting. The day is not in them: gaps are kept by when they
opened, and grow older by themselves. What another release has kept counts as none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import and_, case, func, literal, select, update

from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.pg_text_codec import Json
from verifywise_mlflow.persistence.queries.open_gaps import Gap, GapCohort, badge_counts, gap_cohorts, worst_gaps
from verifywise_mlflow.persistence.queries.verdict_counts import rule_counts
from verifywise_mlflow.persistence.repositories.waivers import waivers_in_force
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA, compliance_counts


@dataclass(frozen=True, slots=True)
class VerdictCounts:
    """The verdicts and badges of a tenant's living versions."""

    verdicts: Mapping[str, Mapping[str, int]]
    """How often each rule gave each verdict."""
    opened: Mapping[str, Sequence[GapCohort]]
    """The gaps of each rule that no waiver covers."""
    worst: Mapping[str, Sequence[Gap]]
    """The waived come last."""
    badges: Sequence[tuple[str | None, int]]
    """How many versions have each; with None, those that were not judged."""


def cached_counts(session: TenantSession, at: datetime) -> VerdictCounts:
    """Return the counts as they are at a time, which is now; count only what no kept ones tell.

    A role that may only read counts each time that nobody has kept what it asks.
    """
    table = compliance_counts
    waiver_ids = [one.waiver_id for one in waivers_in_force(session, at)]
    hold = and_(
        table.c.counted_revision == table.c.revision,
        table.c.waiver_ids == literal(waiver_ids, Json),
        table.c.counted_at <= at,  # a clock that went back makes gaps younger again
    )
    may_keep = func.has_table_privilege(f"{SCHEMA}.{table.name}", "UPDATE")
    kept = session.execute(
        select(table.c.revision, case((hold, table.c.counts)).label("counts"), may_keep.label("may_keep")).where(
            table.c.tenant_id == session.tenant_id
        )
    ).first()
    if kept and (ours := _of_this_form(kept.counts)):
        return ours
    found = compute_counts(session, at)
    if kept and kept.may_keep:
        # Of another revision by now, somebody changed something while this was counted: it is of no state at all.
        session.execute(
            update(table)
            .where(table.c.tenant_id == session.tenant_id, table.c.revision == kept.revision)
            .values(
                counted_revision=kept.revision,
                counted_at=at,
                waiver_ids=waiver_ids,
                counts=_KEPT.dump_python(_Kept(_FORM, found), mode="json"),
            )
        )
    return found


def compute_counts(session: TenantSession, at: datetime) -> VerdictCounts:
    """Return the counts, counted now, whatever is kept."""
    verdicts: dict[str, dict[str, int]] = {}
    for one in rule_counts(session):
        verdicts.setdefault(one.rule_id, {})[one.verdict] = one.versions
    return VerdictCounts(
        verdicts,
        gap_cohorts(session, at),
        worst_gaps(session, at),
        list(badge_counts(session).items()),
    )


_REVISION: Final = 1
"""To be raised where a count comes to mean something else."""
_FORM: Final = fingerprint([_REVISION, TypeAdapter(VerdictCounts).json_schema()])


@dataclass(frozen=True, slots=True)
class _Kept:
    form: str
    counts: VerdictCounts


_KEPT: Final = TypeAdapter(_Kept)


def _of_this_form(kept: object) -> VerdictCounts | None:
    """Return kept counts; none where there are none, or another release has counted them."""
    try:
        found = _KEPT.validate_python(kept)
    except ValidationError:
        return None
    return found.counts if found.form == _FORM else None
