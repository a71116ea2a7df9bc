"""Prints gaps for people: some lines for each gap, or a table of groups.

No name and no time is cut: a part that does not fit into a line of the terminal gets its own lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.text import Text

from verifywise_mlflow.cli.display import display
from verifywise_mlflow.cli.indented_output import print_indented, print_whole
from verifywise_mlflow.cli.output import out
from verifywise_mlflow.cli.tenant_sections import by_tenant, print_limit
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.services.compliance_summary import days_open
from verifywise_mlflow.services.gaps import Gap, GapGroup, Grouping

_SEVERITY_COLORS = {"critical": "bold red", "high": "red", "medium": "yellow"}
_INDENT = 10
_COUNTS = ("open", "waived", "critical", "high", "days")
_NO_GAP = "No gap matches."


def print_gaps(gaps: Iterable[Gap], limit: int, *, shows_tenants: bool) -> None:
    """Print the gaps of each tenant, up to a limit; if there are more, print that."""
    is_empty = True
    for of_tenant in by_tenant(gaps, shows_tenants=shows_tenants):
        is_empty = False
        for gap in of_tenant[:limit]:
            _print_gap(gap)
        print_limit(of_tenant, limit, "gaps")
    if is_empty:
        out.print(_NO_GAP)


def print_groups(groups: Iterable[GapGroup], by: Grouping, now: datetime, *, shows_tenants: bool) -> None:
    """Print the groups of each tenant, one line per group."""
    is_empty = True
    for of_tenant in by_tenant(groups, shows_tenants=shows_tenants):
        is_empty = False
        print_whole(Text(_group_line(_COUNTS, by.value), "dim"))
        for group in of_tenant:
            days = days_open(group.oldest_opened_at, now)
            counts = (group.open, group.waived, group.critical, group.high, days)
            print_whole(Text(_group_line([f"{count:,}" for count in counts], _group_name(group, by))))
    if is_empty:
        out.print(_NO_GAP)


def _group_line(counts: Sequence[str], name: str) -> str:
    # The name comes last: it is the only part of unlimited length.
    numbers = (count.rjust(max(len(heading), 7)) for count, heading in zip(counts, _COUNTS, strict=True))
    return "  ".join((*numbers, name))


def _group_name(group: GapGroup, by: Grouping) -> str:
    if group.group is None:
        return "none"
    return group.group.replace("_", " ") if by is Grouping.AGE else escape_invisible(group.group)


def _print_gap(gap: Gap) -> None:
    severity = gap.severity
    heading = Text.assemble(
        (f"{severity:<{_INDENT}}", _SEVERITY_COLORS.get(severity, "")), (escape_invisible(gap.rule_id), "bold")
    )
    print_whole(heading)
    stage = f", {gap.lifecycle_stage}" if gap.lifecycle_stage else ""
    print_whole(Text(f"{escape_invisible(gap.model_name)} version {gap.version_number}{stage}"), _INDENT)
    if gap.ai_system:
        print_whole(Text("system: ") + display(gap.ai_system), _INDENT)
    print_whole(Text("owner: ") + display(gap.owner or "none"), _INDENT)
    print_whole(Text(age_sentence(gap.age_days, gap.opened_at, may_be_older=gap.may_be_older)), _INDENT)
    print_indented(Text(f"{gap.verdict}: ") + display(gap.reason), _INDENT)
    if gap.waiver:
        until = f"waived by {escape_invisible(gap.waiver.approver)} until {gap.waiver.expires_on}: "
        print_indented(Text(until, "cyan") + display(gap.waiver.reason), _INDENT)


def age_sentence(age_days: int, opened_at: datetime, *, may_be_older: bool) -> str:
    """Return a text that states for how long a gap has been open, as far as this is known."""
    opened = f"{opened_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if may_be_older and not age_days:
        return f"first seen {opened}, less than a day ago"
    days = f"{age_days:,} day{'s' * (age_days != 1)}" if age_days else "less than a day"
    return f"open for at least {days}, first seen {opened}" if may_be_older else f"open for {days}, since {opened}"
