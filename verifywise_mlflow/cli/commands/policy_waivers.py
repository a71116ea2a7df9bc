"""``verifywise-mlflow policy waivers``, ``policy waive`` and ``policy unwaive``: accepted gaps."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.text import Text

from verifywise_mlflow.cli.arguments import StoredTenantName, TenantName, configured_tenant, listed, time_option
from verifywise_mlflow.cli.display import display, waiver_as_json
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.indented_output import print_indented
from verifywise_mlflow.cli.output import AsJson, fail, out
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.compliance.waivers import Waiver, waiver_error
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.waived_gaps import gaps_by_waiver
from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver, all_waivers
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import WaiverCommandError, grant_waiver, withdraw_waiver
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.services.version_references import require_known_tenant


def waivers(
    tenant: StoredTenantName,
    as_of: Annotated[
        datetime | None,
        time_option("--as-of", "The waivers in force at this time, also a later one:", may_be_future=True),
    ] = None,
    include_inactive: Annotated[
        bool, typer.Option("--all", help="Include expired, withdrawn and future waivers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List a tenant's waivers. Changes in the waiver file appear after the next sync."""
    at = as_of or datetime.now(UTC)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        selected = [record for record in all_waivers(session) if include_inactive or record.is_in_force(at)]
        gaps = gaps_by_waiver(session)
        if not selected:
            require_known_tenant(session)
    if as_json:
        documents = [
            {**waiver_as_json(record), "holds": record.is_in_force(at), "gaps_now": gaps.get(record.waiver_id, 0)}
            for record in selected
        ]
        sys.stdout.write(json.dumps(json_ready({"tenant": tenant, "as_of": at, "waivers": documents})) + "\n")
        return
    if as_of:
        out.print(f"As of {utc_text(at)}", highlight=False)
    if not selected:
        out.print("No waiver is in force." if not include_inactive else "There is no waiver.")
        return
    for record in selected:
        _print_waiver(record, gaps.get(record.waiver_id, 0), at)
    out.print("gaps now: gaps of versions in MLflow that the waiver covers. They remain gaps.")


def _print_waiver(record: StoredWaiver, gaps: int, at: datetime) -> None:
    waiver, number = record.waiver, str(record.waiver_id)
    indent = len(number) + 2
    print_indented(Text.assemble((number, "bold"), "  ", display(waiver.about)), 0)
    state = "" if record.is_in_force(at) else f" ({_inactive_reason(record, at)})"
    covered = f"{gaps:,} gap{'s' * (gaps != 1)} now"
    granted = "from the file" if record.source == "file" else "granted by command"
    print_indented(display(f"through {waiver.expires}{state}, {covered}, {granted}"), indent)
    print_indented(display(f"{waiver.approver}: {waiver.reason}"), indent)


def _inactive_reason(record: StoredWaiver, at: datetime) -> str:
    """Return why a waiver is not in force at a given time."""
    if at < record.granted_at:
        return "not yet granted"
    return record.end_reason or "expired"


def waive(
    tenant: TenantName,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The rule whose gaps are accepted.")],
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="The model's name. If the tenant allows patterns, * matches any characters, ? one."
        ),
    ],
    approver: Annotated[str, typer.Option(help="Who accepts the gaps.")],
    reason: Annotated[str, typer.Option(help="Why they are accepted.")],
    expires: Annotated[str, typer.Option(metavar="DAY", help="The last day of the waiver, in UTC: 2026-12-31.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="Only this version. Without it, all versions, including future ones.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Accept the gaps of a rule on a model until a day. The verdicts stay as they are; the waiver is shown with them.

    For example: policy waive acme owner pilot-a --approver "Ada Lovelace" --reason "The pilot ends in May."
    --expires 2026-05-31

    Recorded in the audit trail. Exit code 2 if the waiver is invalid or exceeds the tenant's limits.
    """
    fields = {"rule": rule, "model": model, "version": version, "approver": approver, "reason": reason}
    try:
        waiver = Waiver.model_validate({**fields, "expires": expires})
    except ValidationError as error:
        fail("\n".join(waiver_error(problem) for problem in error.errors()), 2, as_json)
    with exit_on_errors(as_json):
        described = configured_tenant(tenant)
        rule_ids = load_rules(described).policy_of
        if rule not in rule_ids:
            sentence = f"no policy of {quote(tenant)} has the rule {quote(rule)}; its rules are: {listed(rule_ids)}"
            raise unknown_name(sentence, rule, rule_ids)
        with Store(database_url()) as store:
            try:
                gaps = grant_waiver(store, described, waiver, datetime.now(UTC))
            except WaiverCommandError as error:
                fail(str(error), 2, as_json)
    _print_outcome("granted", waiver, as_json, gaps_now=gaps)
    if not as_json:
        coverage = (
            "no gap at present: check the spelling of the model's name"
            if not gaps
            else f"{gaps:,} gap{'s' * (gaps > 1)} at present"
        )
        out.print(Text(f"It covers {coverage}", style="" if gaps else "yellow"))


def unwaive(
    tenant: TenantName,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The waiver's number, as policy waivers shows it.")],
    as_json: AsJson = False,
) -> None:
    """End a waiver that was granted by command. Recorded in the audit trail."""
    with exit_on_errors(as_json):
        described = configured_tenant(tenant)
        with Store(database_url()) as store:
            try:
                ended = withdraw_waiver(store, described, number, datetime.now(UTC))
            except WaiverCommandError as error:
                fail(str(error), 1, as_json)
    _print_outcome("withdrawn", ended.waiver, as_json)


def _print_outcome(outcome: str, waiver: Waiver, as_json: bool, **more: int) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"outcome": outcome, **waiver.model_dump(mode="json"), **more}) + "\n")
    else:
        out.print(
            f"{outcome}: {escape_invisible(waiver.about)}; {escape_invisible(waiver.sentence)}",
            markup=False,
            highlight=False,
        )
