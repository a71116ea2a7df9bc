"""``verifywise-mlflow policy waivers``, ``policy waive`` and ``policy unwaive``: gaps that somebody accepts."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.text import Text

from verifywise_mlflow.cli.arguments import StoredTenantName, TenantName, described_tenant, moment
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, fail, out, refuse_unknown, table
from verifywise_mlflow.common.untrusted_text import display, escape_invisible, json_ready
from verifywise_mlflow.compliance.waivers import Waiver, waiver_error
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.waived_gaps import gaps_by_waiver
from verifywise_mlflow.persistence.repositories.waivers import KeptWaiver, kept
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import WaiverNotAllowedError, grant_waiver, withdraw_waiver
from verifywise_mlflow.services.tenant_policies import load_rules


def waivers(
    tenant: StoredTenantName,
    as_of: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Those that held then; otherwise, now.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that do not hold.")] = False,
    as_json: AsJson = False,
) -> None:
    """List a tenant's waivers. What stands in the file and was not synced yet is not among them."""
    at = as_of or datetime.now(UTC)
    with errors_as_sentences(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        found = [one for one in kept(session) if every or one.holds(at)]
        gaps = gaps_by_waiver(session)
        if not found:
            refuse_unknown(session, as_json)
    if as_json:
        told = [
            {**waiver_as_json(one), "holds": one.holds(at), "gaps_now": gaps.get(one.waiver_id, 0)} for one in found
        ]
        sys.stdout.write(json.dumps(json_ready({"tenant": tenant, "as_of": at, "waivers": told})) + "\n")
        return
    if not found:
        out.print("There is no waiver that holds." if not every else "There is no waiver.")
        return
    listed = table("#", "for", "accepted by, because", "through", "gaps", "from", right=("gaps",))
    for one in found:
        waiver = one.waiver
        through = waiver.expires.isoformat() if one.holds(at) else f"{waiver.expires}\n{_why_not(one, at)}"
        listed.add_row(
            str(one.waiver_id),
            display(waiver.about),
            display(f"{waiver.approver}: {waiver.reason}"),
            Text(through, no_wrap=True),
            f"{gaps.get(one.waiver_id, 0):,}",
            one.source,
        )
    out.print(listed)
    out.print("gaps: those of living versions that it is about, now. They stay gaps.")


def _why_not(one: KeptWaiver, at: datetime) -> str:
    """Return why a waiver does not hold at a time."""
    if at < one.granted_at:
        return "not yet granted"
    return "withdrawn" if one.ended == "withdrawn" else "expired"


def waive(
    tenant: TenantName,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The rule whose gaps are accepted.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name; * for any characters, ? for one.")],
    approver: Annotated[str, typer.Option(help="Who accepts them.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    expires: Annotated[str, typer.Option(metavar="DAY", help="The last day on which it holds, UTC: 2026-12-31.")],
    version: Annotated[int | None, typer.Option(min=1, help="One version alone; otherwise all, also new ones.")] = None,
    as_json: AsJson = False,
) -> None:
    """Accept a rule's gaps on a model until a day. The verdicts stay; the waiver stands beside them.

    For example: policy waive acme owner 'pilot-*' --approver "Ada Lovelace, CISO" --reason "The pilot ends in June."
    --expires 2026-06-30

    The audit trail is told. Exit code 2 if the rule is not asked, or the waiver cannot be granted.
    """
    said = {"rule": rule, "model": model, "version": version, "approver": approver, "reason": reason}
    try:
        waiver = Waiver.model_validate({**said, "expires": expires})
    except ValidationError as error:
        fail("\n".join(waiver_error(one["loc"], one["msg"]) for one in error.errors()), 2, as_json)
    with errors_as_sentences(as_json):
        described = described_tenant(tenant)
        asked = load_rules(described).policy_of
        if rule not in asked:
            fail(f"no policy of {tenant!r} asks for the rule {rule!r}; there are: {', '.join(asked)}", 2, as_json)
        with Store(database_url()) as store:
            try:
                gaps = grant_waiver(store, described, waiver, datetime.now(UTC))
            except WaiverNotAllowedError as error:
                fail(str(error), 2, as_json)
    _say("granted", waiver, as_json, gaps_now=gaps)
    if not as_json:
        which = "no gap now: is the model's name right?" if not gaps else f"{gaps:,} gap{'s' * (gaps > 1)} now"
        out.print(Text(f"It is about {which}", style="" if gaps else "yellow"))


def unwaive(
    tenant: TenantName,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The waiver's number in policy waivers.")],
    as_json: AsJson = False,
) -> None:
    """End a waiver that was granted by command. The audit trail is told."""
    with errors_as_sentences(as_json):
        described = described_tenant(tenant)
        with Store(database_url()) as store:
            try:
                ended = withdraw_waiver(store, described, number, datetime.now(UTC))
            except WaiverNotAllowedError as error:
                fail(str(error), 1, as_json)
    _say("withdrawn", ended.waiver, as_json)


def waiver_as_json(one: KeptWaiver) -> dict[str, object]:
    """Return a waiver for programs."""
    names = ("waiver_id", "source", "granted_at", "ended_at", "ended")
    return {**one.waiver.model_dump(mode="json"), **{name: getattr(one, name) for name in names}}


def _say(outcome: str, waiver: Waiver, as_json: bool, **more: int) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"outcome": outcome, **waiver.model_dump(mode="json"), **more}) + "\n")
    else:
        out.print(
            f"{outcome}: {escape_invisible(waiver.about)}; {escape_invisible(waiver.sentence)}",
            markup=False,
            highlight=False,
        )
