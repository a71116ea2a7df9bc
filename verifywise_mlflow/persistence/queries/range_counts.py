"""Counts of the living versions in a range of keys: verdicts, open gaps and badges. Counts of ranges can be added up.

One statement counts the rows of a range exactly. Counts of ranges and their sums have only the worst gaps, and
``limit_times`` limits the times at which gaps opened. So the counts of a tenant of any size stay small.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    FromClause,
    Integer,
    Table,
    and_,
    case,
    cast,
    column,
    false,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy import Text as PlainText

from verifywise_mlflow.compliance.gap_urgency import OTHER_STAGE_RANK, STAGE_RANKS
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.queries.gap_ages import AGE_LIMITS_DAYS, WORST_GAPS_PER_RULE
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.waivers import is_waived, waivers_in_force
from verifywise_mlflow.persistence.row_mapping import Key, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, compliance_verdicts

MAX_TIMES_PER_RULE: Final = 16
"""If gaps of a rule opened at more times than this, a range counts them by age group instead of by time."""
BEFORE_ALL_KEYS: Final = ("", -(2**31))
"""A key that no version precedes."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NO_BADGE: Final = ""

RankedGap: TypeAlias = tuple[int, int, int, str, int, str | None, str]
"""A gap as a tuple whose order is that of ``gap_urgency.most_urgent`` within a rule.

The parts that order gaps are the rank of the stage, the time when the gap opened, 0 for a failure and 1 otherwise, the
model's name as stored, and the version's number times -1. The stage and the verdict follow."""
Times: TypeAlias = list[tuple[int, int]]
"""Microseconds since 1970 at which gaps opened, each with the number of gaps."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The keys from ``first`` up to but excluding ``end``; names are in their stored form."""

    first: Key
    end: Key | None
    """None for the last range of a tenant."""


@dataclass(slots=True)
class RangeCounts:
    """The counts of a range, or the sum of the counts of several ranges."""

    verdicts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Rule ID to verdict to number of living versions."""
    archived: dict[str, dict[str, int]] = field(default_factory=dict)
    """Like ``verdicts``, but only for the archived versions among these versions."""
    opened: dict[str, Times] = field(default_factory=dict)
    """For each rule, the times when the gaps that no waiver covers opened."""
    worst: dict[str, list[RankedGap]] = field(default_factory=dict)
    """The most urgent of the gaps that no waiver covers, the worst gap first."""
    badges: dict[str, int] = field(default_factory=dict)
    """Badge to number of living versions. The empty text is the badge of versions that were not evaluated."""

    def to_json(self) -> str:
        """Return the counts as JSON in ASCII."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, stored: str) -> RangeCounts:
        """Return the counts that ``to_json`` wrote."""
        counts = cls(**json.loads(stored))
        # JSON has lists instead of tuples.
        counts.worst = {rule_id: [(*gap,) for gap in gaps] for rule_id, gaps in counts.worst.items()}
        return counts

    def by_badge(self) -> dict[str | None, int]:
        """Return the number of versions with each badge. None is the badge of versions that were not evaluated."""
        return {badge or None: count for badge, count in self.badges.items()}


def count_ranges(session: TenantSession, ranges: Sequence[KeyRange], at: datetime) -> list[RangeCounts]:
    """Count the living versions of each range. ``at`` is the current time."""
    if not ranges:
        return []
    bounds = _bounds(session, ranges)
    counted = _counted(session, bounds, at).lateral("counted")
    query = select(bounds.c.place, *counted.c).select_from(bounds.join(counted, true()))
    counts = [RangeCounts() for _ in ranges]
    opened: list[defaultdict[str, Times]] = [defaultdict(list) for _ in ranges]
    for place, kind, rule_id, verdict, stage, opened_at, name, number in session.execute(query):
        of_range = counts[place - 1]
        if kind == "badge":
            of_range.badges[verdict or _NO_BADGE] = number
        elif kind == "opened":
            opened[place - 1][rule_id].append((_microseconds(opened_at), number))
        elif kind == "worst":
            rank = STAGE_RANKS.get(stage or "", OTHER_STAGE_RANK)
            gap = (rank, _microseconds(opened_at), int(verdict != Verdict.FAIL), name, -number, stage, verdict)
            of_range.worst.setdefault(rule_id, []).append(gap)
        else:
            _add(of_range.verdicts, rule_id, verdict, number)
            if stage == "archived":
                _add(of_range.archived, rule_id, verdict, number)
    for of_range, times in zip(counts, opened, strict=True):
        of_range.opened = dict(times)
        for gaps in of_range.worst.values():
            gaps.sort()
    return counts


def sum_counts(parts: Iterable[RangeCounts]) -> RangeCounts:
    """Return the sum of the counts of several ranges."""
    total = RangeCounts()
    worst: defaultdict[str, list[Sequence[RankedGap]]] = defaultdict(list)
    opened: defaultdict[str, Counter[int]] = defaultdict(Counter)
    badges: Counter[str] = Counter()
    for part in parts:
        for sums, counts in ((total.verdicts, part.verdicts), (total.archived, part.archived)):
            for rule_id, by_verdict in counts.items():
                for verdict, count in by_verdict.items():
                    _add(sums, rule_id, verdict, count)
        for rule_id, times in part.opened.items():
            for time, count in times:
                opened[rule_id][time] += count
        for rule_id, gaps in part.worst.items():
            worst[rule_id].append(gaps)
        badges.update(part.badges)
    total.opened = {rule_id: sorted(times.items()) for rule_id, times in opened.items()}
    total.worst = {rule_id: sorted(chain.from_iterable(gaps))[:WORST_GAPS_PER_RULE] for rule_id, gaps in worst.items()}
    total.badges = dict(badges)
    return total


def limit_times(counts: RangeCounts, at: datetime, limit: int = MAX_TIMES_PER_RULE) -> datetime | None:
    """Reduce more than ``limit`` times of a rule to one time per age group; return until when the counts are valid.

    The last group always has one time, since its gaps stay in that group. A group that is counted as a whole has the
    time of its oldest gap. So the counts are valid until the first such gap reaches the next group. None means that age
    does not invalidate the counts.
    """
    now = _microseconds(at)
    valid_until: list[int] = []
    for rule_id, times in counts.opened.items():
        groups: defaultdict[int, Times] = defaultdict(list)
        for opened, count in sorted(times):
            groups[bisect_left(AGE_LIMITS_DAYS, (now - opened) // _DAY)].append((opened, count))
        has_too_many = sum(map(len, groups.values())) > limit
        reduced: Times = []
        for group, members in groups.items():
            is_last = group == len(AGE_LIMITS_DAYS)
            if is_last or (has_too_many and len(members) > 1):
                if not is_last:
                    valid_until.append(members[0][0] + (AGE_LIMITS_DAYS[group] + 1) * _DAY)
                reduced.append((members[0][0], sum(count for _, count in members)))
            else:
                reduced += members
        counts.opened[rule_id] = reduced
    return to_time(min(valid_until)) if valid_until else None


_DAY: Final = timedelta(days=1) // _MICROSECOND


def to_time(microseconds: int) -> datetime:
    """Return a time that is given in microseconds since 1970."""
    return _EPOCH + microseconds * _MICROSECOND


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _add(sums: dict[str, dict[str, int]], rule_id: str, verdict: str, count: int) -> None:
    by_verdict = sums.setdefault(rule_id, {})
    by_verdict[verdict] = by_verdict.get(verdict, 0) + count


def range_starts(session: TenantSession, ranges: Sequence[KeyRange], size: int) -> list[list[Key]]:
    """Return, for each range with at least twice ``size`` records, the keys that divide it into parts of ``size``.

    The last part may have fewer records.
    """
    records = canonical_records
    bounds = _bounds(session, ranges)
    in_order = func.row_number().over(order_by=(records.c.model_name, records.c.version_number))
    numbered = (
        select(
            cast(records.c.model_name, PlainText).label("model_name"),
            records.c.version_number,
            (in_order - 1).label("position"),
            func.count().over().label("records"),
        )
        .where(_is_in_range(records, bounds, session.tenant_id))
        .lateral("numbered")
    )
    query = (
        select(bounds.c.place, numbered.c.model_name, numbered.c.version_number)
        .select_from(bounds.join(numbered, true()))
        .where(numbered.c.records >= 2 * size, numbered.c.position > 0, numbered.c.position % size == 0)
    )
    starts: list[list[Key]] = [[] for _ in ranges]
    for place, name, number in session.execute(query):
        starts[place - 1].append((name, number))
    return starts


def _bounds(session: TenantSession, ranges: Sequence[KeyRange]) -> FromClause:
    """Return the ranges as rows, each with its place, from 1 on."""
    ends = [key_range.end or _after_all_keys(session) for key_range in ranges]
    arrays = (
        cast([key_range.first[0] for key_range in ranges], ARRAY(PlainText)),
        cast([key_range.first[1] for key_range in ranges], ARRAY(Integer)),
        cast([name for name, _ in ends], ARRAY(PlainText)),
        cast([number for _, number in ends], ARRAY(BigInteger)),
    )
    return (
        func.unnest(*arrays)
        .table_valued(
            column("first_model", PlainText),
            column("first_version", Integer),
            column("end_model", PlainText),
            column("end_version", BigInteger),
            with_ordinality="place",
        )
        .render_derived()
    )


def _after_all_keys(session: TenantSession) -> Key:
    # The greatest name, with a number that no column can hold, ends the last range. A record that is added meanwhile
    # raises the revision.
    records = canonical_records
    greatest = session.scalar(
        select(cast(records.c.model_name, PlainText))
        .where(records.c.tenant_id == session.tenant_id)
        .order_by(records.c.model_name.desc())
        .limit(1)
    )
    return greatest or "", 2**31


def _is_in_range(table: Table, bounds: FromClause, tenant_id: str) -> ColumnElement[bool]:
    key = tuple_(table.c.model_name, table.c.version_number)
    return and_(
        table.c.tenant_id == tenant_id,
        # This condition is redundant, but with two bounds of a column the planner expects few rows.
        table.c.model_name >= bounds.c.first_model,
        table.c.model_name <= bounds.c.end_model,
        key >= tuple_(bounds.c.first_model, bounds.c.first_version),
        key < tuple_(bounds.c.end_model, bounds.c.end_version),
    )


def _counted(session: TenantSession, bounds: FromClause, at: datetime) -> CompoundSelect[Any]:
    """Return the counts of a range as rows: kind, rule, verdict or badge, stage, time, stored name, number."""
    records, results, badges = canonical_records, compliance_verdicts, compliance_badges
    is_living = and_(_is_in_range(records, bounds, session.tenant_id), records.c.deleted_at.is_(None))
    open_since = func.coalesce(results.c.open_since, results.c.evaluated_at)  # a verdict inserted by hand has none
    is_open_gap = and_(results.c.verdict.in_(OPEN_VERDICTS), ~_is_covered(session, at))
    living = (
        select(
            results.c.rule_id,
            results.c.verdict,
            records.c.lifecycle_stage,
            case((is_open_gap, open_since)).label("opened"),
            cast(results.c.model_name, PlainText).label("model_name"),
            results.c.version_number,
        )
        .select_from(results.join(records, same_version(records, results)))
        .where(is_living, _is_in_range(results, bounds, session.tenant_id))
        .correlate(bounds)
        .cte("living", nesting=True)
    )
    archived = case((living.c.lifecycle_stage == "archived", literal_column("'archived'")))
    no_text, no_time = cast(null(), PlainText), cast(null(), living.c.opened.type)
    by_verdict = select(
        literal("verdict").label("kind"),
        living.c.rule_id,
        living.c.verdict,
        archived.label("stage"),
        no_time.label("opened"),
        no_text.label("name"),
        func.count().label("number"),
    ).group_by(living.c.rule_id, living.c.verdict, archived)
    by_time = (
        select(literal("opened"), living.c.rule_id, no_text, no_text, living.c.opened, no_text, func.count())
        .where(living.c.opened.is_not(None))
        .group_by(living.c.rule_id, living.c.opened)
    )
    place = func.row_number().over(
        partition_by=living.c.rule_id,
        order_by=(
            case(STAGE_RANKS, value=living.c.lifecycle_stage, else_=OTHER_STAGE_RANK),
            living.c.opened,
            (living.c.verdict == Verdict.FAIL).desc(),
            living.c.model_name.collate("C"),  # as Python compares texts
            living.c.version_number.desc(),
        ),
    )
    ranked = select(living, place.label("place")).where(living.c.opened.is_not(None)).subquery()
    worst = select(
        *(literal("worst"), ranked.c.rule_id, ranked.c.verdict, ranked.c.lifecycle_stage),
        *(ranked.c.opened, ranked.c.model_name, ranked.c.version_number),
    ).where(ranked.c.place <= WORST_GAPS_PER_RULE)
    by_badge = (
        select(literal("badge"), no_text, badges.c.badge, no_text, no_time, no_text, func.count())
        .select_from(
            records.outerjoin(
                badges, and_(same_version(badges, records), _is_in_range(badges, bounds, session.tenant_id))
            )
        )
        .where(is_living)
        .correlate(bounds)
        .group_by(badges.c.badge)
    )
    return union_all(by_verdict, by_time, worst, by_badge)


def _is_covered(session: TenantSession, at: datetime) -> ColumnElement[bool]:
    """Return the condition that a waiver covers a verdict. Only rules with a waiver are looked up."""
    rules: Collection[str] = {stored.waiver.rule for stored in waivers_in_force(session, at)}
    if not rules:
        return false()
    return and_(compliance_verdicts.c.rule_id.in_(rules), is_waived(compliance_verdicts, at))


def whole_range() -> KeyRange:
    """Return the range of all keys."""
    return KeyRange(BEFORE_ALL_KEYS, None)


def key_ranges(first_keys: Sequence[Key]) -> Iterator[KeyRange]:
    """Yield the ranges that begin with these keys, in their order."""
    for number, first in enumerate(first_keys, start=1):
        yield KeyRange(first, first_keys[number] if number < len(first_keys) else None)
