"""Prints gaps for people: some lines for each, or a table of groups.

No name and no time is cut: what does not fit into a line of the terminal goes to lines of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby

from rich.text import Text

from verifywise_mlflow.cli.display import display, display_name
from verifywise_mlflow.cli.output import out, table
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.services.compliance_summary import days_open
from verifywise_mlflow.services.gaps import Gap, GapGroup, Grouping

_SEVERITY_COLORS = {"critical": "bold red", "high": "red", "medium": "yellow"}
_INDENT = " " * 10
_NO_GAP = "No gap matches."


def print_gaps(gaps: Iterable[Gap], limit: int, *, shows_tenants: bool) -> None:
    """Print the gaps of each tenant, up to a limit; if there is one more, print that there are more."""
    is_empty = True
    for tenant, of_tenant in groupby(gaps, key=lambda gap: gap.tenant):
        is_empty = False
        listed = list(of_tenant)
        if shows_tenants:
            out.print(Text(f"tenant {escape_invisible(tenant)}", "bold underline"), soft_wrap=True)
        for gap in listed[:limit]:
            _print_gap(gap)
        if len(listed) > limit:
            out.print(
                Text(f"The first {limit:,} gaps are shown: --limit shows more, --output and --json all.", "yellow")
            )
    if is_empty:
        out.print(_NO_GAP)


def print_groups(groups: Iterable[GapGroup], by: Grouping, now: datetime, *, shows_tenants: bool) -> None:
    """Print the groups of each tenant."""
    is_empty = True
    for tenant, of_tenant in groupby(groups, key=lambda group: group.tenant):
        is_empty = False
        if shows_tenants:
            out.print(Text(f"tenant {escape_invisible(tenant)}", "bold underline"), soft_wrap=True)
        counts = ("open", "waived", "critical", "high", "oldest, days")
        rows = table(*counts, by.value, unbroken=counts, right=counts)
        for group in of_tenant:
            rows.add_row(
                f"{group.open:,}",
                f"{group.waived:,}",
                f"{group.critical:,}",
                f"{group.high:,}",
                f"{days_open(group.oldest_opened_at, now):,}",
                _group_name(group, by),
            )
        out.print(rows)
    if is_empty:
        out.print(_NO_GAP)


def _group_name(group: GapGroup, by: Grouping) -> Text:
    if group.group is None:
        return Text("none", "dim")
    return display_name(group.group.replace("_", " ") if by is Grouping.AGE else group.group)


def _print_gap(gap: Gap) -> None:
    severity = gap.severity or "unknown"
    heading = Text.assemble(
        (f"{severity:<10}", _SEVERITY_COLORS.get(severity, "")), (escape_invisible(gap.rule_id), "bold")
    )
    out.print(heading, soft_wrap=True)
    stage = f", {gap.lifecycle_stage}" if gap.lifecycle_stage else ""
    _print_indented(Text(f"{escape_invisible(gap.model_name)} version {gap.version_number}{stage}"))
    system = f"; system: {escape_invisible(gap.ai_system)}" if gap.ai_system else ""
    _print_indented(Text(f"owner: {escape_invisible(gap.owner) if gap.owner else 'none'}{system}"))
    _print_indented(Text(_age_sentence(gap)))
    _print_indented(Text(f"{gap.verdict}: ") + display(gap.reason))
    if gap.waiver:
        until = f"waived by {escape_invisible(gap.waiver.approver)} until {gap.waiver.expires_on}: "
        _print_indented(Text(until, "cyan") + display(gap.waiver.reason))


def _age_sentence(gap: Gap) -> str:
    days = f"{gap.age_days:,} day{'s' * (gap.age_days != 1)}"
    opened = f"{gap.opened_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if gap.may_be_older:
        return f"open for at least {days}: first recorded on {opened}, and may be older"
    return f"open for {days}, since {opened}"


def _print_indented(text: Text) -> None:
    for line in text.wrap(out, max(out.width - len(_INDENT), 20), overflow="ignore"):
        out.print(Text(_INDENT) + line, soft_wrap=True)
