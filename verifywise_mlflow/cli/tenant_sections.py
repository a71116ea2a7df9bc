"""Prints the rows of several tenants: a heading for each tenant, and a note if a limit cuts the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from rich.text import Text

from verifywise_mlflow.cli.indented_output import print_whole
from verifywise_mlflow.cli.output import out
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.services.gaps import Gap, GapGroup
from verifywise_mlflow.services.inventory import InventoryRow

R = TypeVar("R", Gap, GapGroup, InventoryRow)


def by_tenant(rows: Iterable[R], *, shows_tenants: bool) -> Iterator[list[R]]:
    """Print the heading of each tenant and then yield the tenant's rows. The rows of a tenant must be adjacent."""
    for tenant, of_tenant in groupby(rows, key=lambda row: row.tenant):
        if shows_tenants:
            print_whole(Text(f"tenant {escape_invisible(tenant)}", "bold underline"))
        yield list(of_tenant)


def print_limit(rows: Sequence[object], limit: int, noun: str) -> None:
    """Print a note if there are more rows than the limit."""
    if len(rows) > limit:
        out.print(Text(f"The first {limit:,} {noun} are shown: --limit shows more, --output and --json all.", "yellow"))
