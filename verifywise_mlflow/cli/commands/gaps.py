"""``verifywise-mlflow gaps``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.gap_output import print_gaps, print_groups
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.list_options import (
    AiSystemNames,
    Models,
    Owners,
    Risks,
    Stages,
    Tenants,
    choice_option,
    text_option,
)
from verifywise_mlflow.cli.output import AsJson
from verifywise_mlflow.cli.table_output import TableFile, check_output, write_output
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.exports.json_documents.gaps import GapGroupsDocument, GapsDocument
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.version_filter import VersionFilter
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.gaps import Gap, GapFilter, GapGroup, Grouping, group_gaps, open_gaps
from verifywise_mlflow.services.list_filters import require_known_filters
from verifywise_mlflow.services.per_tenant_reading import read_each, readable_tenants

app = typer.Typer()

_LIMIT = 20
"""The maximum number of gaps that are printed for people, unless an option sets another number."""


@app.command()
def gaps(
    tenants: Tenants = None,
    by: Annotated[
        Grouping | None,
        typer.Option("--by", metavar="WORD", help=f"Count the gaps of the same {', '.join(Grouping)}."),
    ] = None,
    severity: Annotated[
        list[str] | None, choice_option("--severity", "Only rules of this severity", [*map(str, reversed(Severity))])
    ] = None,
    rule: Annotated[
        list[str] | None, text_option("--rule", "RULE", "Only this rule's ID; * stands for any characters.")
    ] = None,
    framework: Annotated[
        list[str] | None,
        text_option("--framework", "FRAMEWORK", "Only rules that refer to this framework, such as GDPR."),
    ] = None,
    model: Models = None,
    system: AiSystemNames = None,
    stage: Stages = None,
    owner: Owners = None,
    risk: Risks = None,
    older_than: Annotated[
        int,
        typer.Option(
            "--older-than",
            metavar="DAYS",
            help="Only gaps open for this many days or longer.",
            min=0,
        ),
    ] = 0,
    waived: Annotated[
        bool | None, typer.Option("--waived/--not-waived", help="Only waived gaps, or only the others.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help=f"Maximum number of gaps of each tenant; {_LIMIT} unless FILE or --json.", min=1)
    ] = None,
    output: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """List the gaps of tenants, or count them: severity, rule, version, owner, since when, waiver.

    The most urgent gaps come first. Repeat an option for alternatives; different options narrow the list.
    Times are UTC. Reads the database only.
    """
    check_output(output, as_json)
    wanted = GapFilter(
        VersionFilter(
            models=tuple(model or ()), stages=tuple(stage or ()), owners=tuple(owner or ()), risks=tuple(risk or ())
        ),
        severities=tuple(severity or ()),
        rules=tuple(rule or ()),
        ai_systems=tuple(system or ()),
        frameworks=tuple(framework or ()),
        min_age_days=older_than,
        is_waived=waived,
    )
    now = datetime.now(UTC)
    with exit_on_errors(as_json), Store(database_url()) as store:
        names = readable_tenants(store, tenants or ())
        require_known_filters(store, names, wanted.versions, wanted.rules)
        most = limit if output or as_json else (limit or _LIMIT) + 1  # one more gap shows that gaps are left out

        def listed(session: TenantSession) -> Iterator[Gap]:
            return open_gaps(session, now, wanted, most)

        def grouped(session: TenantSession) -> list[GapGroup]:
            return group_gaps(session, now, by or Grouping.RULE, wanted)[:limit]

        if output is not None and by:
            write_output(output, GapGroup, read_each(store, names, grouped))
        elif output is not None:
            write_output(output, Gap, read_each(store, names, listed))
        elif as_json and by:
            groups = tuple(read_each(store, names, grouped))
            print_document(GapGroupsDocument(at=now, tenants=tuple(names), by=by, groups=groups))
        elif as_json:
            print_document(GapsDocument(at=now, tenants=tuple(names)), gaps=read_each(store, names, listed))
        elif by:
            print_groups(read_each(store, names, grouped), by, now, shows_tenants=len(names) != 1)
        else:
            print_gaps(read_each(store, names, listed), limit or _LIMIT, shows_tenants=len(names) != 1)
