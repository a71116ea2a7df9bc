"""Arguments that several commands share: a tenant, a model, a version, a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import OptionInfo

from verifywise_mlflow.common.moments import MomentError, parse_moment
from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import excerpt, quote

if TYPE_CHECKING:
    from verifywise_mlflow.tenants.tenant import Tenant

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name in tenants.yaml.")]
StoredTenantName = Annotated[
    str,
    typer.Argument(
        metavar="TENANT", help="The tenant's name in the database; it need not be in tenants.yaml any more."
    ),
]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="The registered model's name.")]
Limit = Annotated[int, typer.Option(help="Maximum number of entries, newest first.", min=1, max=1_000_000)]
VersionReference = Annotated[
    str,
    typer.Argument(
        metavar="VERSION",
        help="The version's number, an alias such as champion or @champion, or a stage that one version is in.",
    ),
]
OptionalVersion = Annotated[
    str | None, typer.Argument(metavar="[VERSION]", help="Only this version: its number, alias or stage.")
]

TIME_FORMS = "2026-03-03, 2026-03-03T14:30Z, yesterday, 7d. Without a zone it is local time"
"""Examples of times, for the help of options."""


def time_option(name: str, meaning: str, *, may_be_future: bool = False) -> OptionInfo:
    """Return an option whose value is parsed as a time and converted to UTC.

    Args:
        name: The option's name, such as ``--as-of``.
        meaning: What the time is for, as a sentence.
        may_be_future: Whether a future time is accepted.
    """

    def parse(text: str) -> datetime:
        try:
            return parse_moment(text, datetime.now(UTC), may_be_future=may_be_future)
        except MomentError as error:
            raise typer.BadParameter(str(error)) from None

    option = typer.Option(name, parser=parse, metavar="TIME", help=f"{meaning} {TIME_FORMS}.")
    assert isinstance(option, OptionInfo)  # typer declares Any
    return option


AsOf = Annotated[datetime | None, time_option("--as-of", "Show the state at this time:")]


def configured_tenant(name: str) -> Tenant:
    """Return the tenant of that name in tenants.yaml.

    Raises:
        TenantsFileError: tenants.yaml is missing or invalid.
        UnresolvedNameError: tenants.yaml has no such tenant.
    """
    from verifywise_mlflow.tenants.loading import load_tenants  # takes a third of a second; few commands need it

    tenants = load_tenants()
    if name not in tenants:
        raise unknown_name(
            f"tenants.yaml has no tenant {quote(name)}; its tenants are: {listed(tenants)}", name, tenants
        )
    return tenants[name]


def listed(names: Iterable[str], limit: int = 20) -> str:
    """Return up to ``limit`` names as a list for a sentence, with an ellipsis if there are more names."""
    shown = [excerpt(name, 80) for name in islice(names, limit + 1)]
    return ", ".join([*shown[:limit], "..."] if len(shown) > limit else shown) or "none"
