"""Gaps of a tenant's living versions, waived gaps included: a list, or the numbers of gaps with a common property.

Rows of a list come through a server-side cursor, since a large tenant has millions of gaps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Integer,
    Subquery,
    case,
    cast,
    column,
    func,
    literal,
    select,
    true,
)
from sqlalchemy import Text as PlainText

from verifywise_mlflow.compliance.gap_urgency import OTHER_STAGE_RANK, STAGE_RANKS, Gap, UrgentGap
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.queries.version_filter import (
    ROWS_PER_FETCH,
    VersionFilter,
    is_any_of,
    matches_glob,
    version_conditions,
)
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.waivers import is_waived
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import CELL_SEPARATOR
from verifywise_mlflow.persistence.tables import (
    canonical_records,
    compliance_badges,
    version_verdict_history,
    version_verdicts,
)

UNKNOWN_RANK: Final = -1
"""The rank of the severity of a rule that no policy has any more."""
RANKS: Final = (UNKNOWN_RANK, *range(len(Severity)))

_NO_GAP: Final = (Verdict.PASS.value, Verdict.NOT_APPLICABLE.value)
"""The verdicts with which a version has no gap of a rule."""


@dataclass(frozen=True, slots=True)
class GapSelection:
    """Which gaps to read. ``None`` does not narrow the selection."""

    at: datetime
    """The current time, which decides which waivers are in force."""
    severity_ranks: Mapping[str, int]
    """Rule ID to the rank of the rule's severity; 0 is the lowest severity. A missing rule ranks below all other
    rules."""
    versions: VersionFilter = field(default_factory=VersionFilter)
    models: Collection[str] | None = None
    rules: Collection[str] | None = None
    rule_globs: tuple[str, ...] = ()
    opened_until: datetime | None = None
    is_waived: bool | None = None


class ListedGap(NamedTuple):
    """A gap, as it is listed."""

    rule_id: str
    verdict: str
    reason: str
    model_name: str
    version_number: int
    lifecycle_stage: str | None
    owner: str | None
    opened_at: datetime
    may_be_older: bool


CountedBy: TypeAlias = Literal["owner", "rule_id", "model_name", "severity_rank", "age"]


class CountedGaps(NamedTuple):
    """The number of gaps with a common property."""

    key: str | None
    by_rank: tuple[int, ...]
    """The number of gaps by the rank of their severity, in the order of ``RANKS``."""
    versions: int
    oldest: datetime


def listed_gaps(session: TenantSession, selection: GapSelection, limit: int | None = None) -> Iterator[ListedGap]:
    """Yield gaps in the order of ``compliance.gap_urgency``: by severity, stage and age."""
    gaps = _gaps(session, selection, with_reasons=limit is None)
    names = [name for name in ListedGap._fields if name != "may_be_older"]
    # Postgres reads the reasons of a limited list after it has sorted and limited the gaps.
    read_last = {} if limit is None else {"reason": _reason(gaps)}
    query = (
        select(*(read_last.get(name, gaps.c[name]) for name in names), ~_opening_is_recorded(gaps))
        .where(*_waiver_condition(gaps, selection))
        .order_by(
            gaps.c.severity_rank.desc(),
            case(STAGE_RANKS, value=gaps.c.lifecycle_stage, else_=OTHER_STAGE_RANK),
            gaps.c.opened_at,
            (gaps.c.verdict == Verdict.FAIL.value).desc(),
            gaps.c.model_name,
            gaps.c.version_number.desc(),
            gaps.c.rule_id,
        )
        .limit(limit)
    )
    for row in session.execute(query.execution_options(yield_per=ROWS_PER_FETCH)):
        yield ListedGap._make(row)


def urgent_gaps(
    session: TenantSession, at: datetime, severities: Mapping[str, Severity], limit: int | None = None
) -> list[UrgentGap]:
    """Return the most urgent gaps at a given time, without waived gaps; ``severities`` are by rule ID."""
    ranks = {rule_id: list(Severity).index(severity) for rule_id, severity in severities.items()}
    return [
        UrgentGap(
            severities.get(gap.rule_id, Severity.LOW),
            Gap(
                gap.rule_id,
                gap.model_name,
                gap.version_number,
                gap.lifecycle_stage,
                gap.verdict,
                gap.reason,
                gap.opened_at,
            ),
        )
        for gap in listed_gaps(session, GapSelection(at, ranks, is_waived=False), limit)
    ]


def counted_gaps(
    session: TenantSession,
    selection: GapSelection,
    by: CountedBy,
    age_starts: Sequence[datetime] = (),
) -> list[CountedGaps]:
    """Count the gaps by owner, rule, model, severity or age.

    Args:
        session: The tenant's transaction.
        selection: Which gaps to count.
        by: The property that the gaps of a group have in common.
        age_starts: For ``age``, the times after which the gaps of each group were opened, the youngest group first. The
            key of a group is its index; the last group has the gaps that were opened before all these times.
    """
    gaps = _gaps(session, selection, with_reasons=False)
    key: ColumnElement[str]
    if by == "age":
        groups = ((gaps.c.opened_at > start, str(place)) for place, start in enumerate(age_starts))
        key = case(*groups, else_=str(len(age_starts)))
    else:
        key = cast(gaps.c[by], Text)
    of_version = (
        select(
            key.label("key"),
            *(func.count().filter(gaps.c.severity_rank == rank).label(f"rank_{rank}") for rank in RANKS),
            func.min(gaps.c.opened_at).label("oldest"),
        )
        .where(*_waiver_condition(gaps, selection))
        .group_by(key, gaps.c.model_name, gaps.c.version_number)
        .subquery()
    )
    query = select(
        of_version.c.key,
        *(func.sum(of_version.c[f"rank_{rank}"]) for rank in RANKS),
        func.count(),
        func.min(of_version.c.oldest),
    ).group_by(of_version.c.key)
    return [
        CountedGaps(key, tuple(int(count) for count in by_rank), versions, oldest)
        for key, *by_rank, versions, oldest in session.execute(query)
    ]


def _gaps(session: TenantSession, selection: GapSelection, *, with_reasons: bool) -> Subquery:
    """Return the selected gaps as rows, waived gaps included. Without their reasons, these texts are not unpacked."""
    records, stored = canonical_records, version_verdicts
    reasons = func.string_to_array(stored.c.reasons, CELL_SEPARATOR) if with_reasons else cast([], ARRAY(PlainText))
    given = (
        func.unnest(stored.c.rule_ids, stored.c.verdicts, reasons, stored.c.open_since, stored.c.evaluated_at)
        .table_valued(
            column("rule_id", Text),
            column("verdict", PlainText),
            column("reason", Text),
            column("open_since", DateTime(timezone=True)),
            column("evaluated_at", DateTime(timezone=True)),
        )
        .render_derived()
    )
    opened_at = func.coalesce(given.c.open_since, given.c.evaluated_at)  # a verdict inserted by hand has no open_since
    ranks = (
        func.unnest(
            cast(list(selection.severity_ranks), ARRAY(Text)),
            cast(list(selection.severity_ranks.values()), ARRAY(Integer)),
        )
        .table_valued(column("rule_id", Text), column("rank", Integer))
        .render_derived()
    )
    conditions = [
        records.c.tenant_id == session.tenant_id,
        given.c.verdict.in_(OPEN_VERDICTS),
        *version_conditions(selection.versions),
    ]
    if selection.models is not None:
        conditions.append(is_any_of(records.c.model_name, selection.models))
    if selection.rules is not None:
        conditions.append(is_any_of(given.c.rule_id, selection.rules))
    if selection.rule_globs:
        conditions.append(matches_glob(given.c.rule_id, selection.rule_globs))
    if selection.opened_until is not None:
        conditions.append(opened_at <= selection.opened_until)
    return (
        select(
            records.c.tenant_id,
            given.c.rule_id,
            given.c.verdict,
            func.coalesce(given.c.reason, "").label("reason"),
            records.c.model_name,
            records.c.version_number,
            records.c.lifecycle_stage,
            records.c.owner,
            opened_at.label("opened_at"),
            func.coalesce(ranks.c.rank, UNKNOWN_RANK).label("severity_rank"),
        )
        .select_from(
            records.join(stored, same_version(stored, records))
            .join(given, true())
            .outerjoin(compliance_badges, same_version(compliance_badges, records))
            .outerjoin(ranks, ranks.c.rule_id == given.c.rule_id)
        )
        .where(*conditions)
        .subquery("gaps")
    )


def _waiver_condition(gaps: Subquery, selection: GapSelection) -> Iterator[ColumnElement[bool]]:
    if selection.is_waived is not None:
        waived = is_waived(gaps, selection.at)
        yield waived if selection.is_waived else ~waived


def _reason(gaps: Subquery) -> ColumnElement[str]:
    stored = version_verdicts
    place = func.array_position(stored.c.rule_ids, cast(gaps.c.rule_id, PlainText))
    return (
        select(func.split_part(stored.c.reasons, CELL_SEPARATOR, place, type_=Text))
        .where(same_version(stored, gaps))
        .scalar_subquery()
    )


def _opening_is_recorded(gaps: Subquery) -> ColumnElement[bool]:
    """Return the condition that a former verdict of the rule, which was no gap, ended when the gap opened."""
    history = version_verdict_history
    # The arrays are compared directly. As rows of a view, the verdicts of a version would be expanded for each of its
    # gaps.
    former = history.c.verdicts[func.array_position(history.c.rule_ids, gaps.c.rule_id)]
    return (
        select(literal(1))
        .where(same_version(history, gaps), history.c.valid_to == gaps.c.opened_at, former.in_(_NO_GAP))
        .exists()
    )
