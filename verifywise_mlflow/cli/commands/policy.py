"""``verifywise-mlflow policy explain`` and ``policy diff``: why a verdict is what it is, and what would change it."""

from __future__ import annotations

import json
import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import (
    ModelName,
    StoredTenantName,
    TenantName,
    VersionNumber,
    described_tenant,
    moment,
)
from verifywise_mlflow.cli.commands.rules import check, rule, rules
from verifywise_mlflow.cli.commands.waivers import unwaive, waive, waiver_as_json, waivers
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, facts, fail, out, table
from verifywise_mlflow.common.untrusted_text import display, escape_invisible, json_ready
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.policy_dry_run import DryRunResult, dry_run, proposed_rules
from verifywise_mlflow.services.verdict_explanation import Explanation
from verifywise_mlflow.services.verdict_explanation import explain_verdict as explanation_of

app = typer.Typer(help="The rules, why a verdict is what it is, what another policy would change, and waivers.")
for command in (rules, rule, check, waivers, waive, unwaive):
    app.command()(command)

RuleId = Annotated[str, typer.Argument(metavar="RULE", help="The rule's id in its policy.")]
_SHOWN = 40
"""Rows of the table of changes; --json has all."""


@app.command()
def explain(
    tenant: StoredTenantName,
    model: ModelName,
    version: VersionNumber,
    rule: RuleId,
    as_of: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help="As it was then: 2026-03-03 is that day's beginning, in UTC."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a verdict follows from, and judge once more: the rule as it was, on the record as it was.

    It is taken from the store alone.
    """
    at = as_of or datetime.now(UTC)
    with errors_as_sentences(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        found = explanation_of(session, (model, version), rule, at)
    if found is None:
        when = f" as of {at.astimezone(UTC).isoformat()}" if as_of else ""
        fail(
            f"there is no verdict of {rule!r} on {model!r} version {version} of the tenant {tenant!r}{when}", 1, as_json
        )
    if as_json:
        told = {"tenant": tenant, "model_name": model, "version_number": version, "as_of": at, **_as_json(found)}
        sys.stdout.write(json.dumps(json_ready(told)) + "\n")
    else:
        _print_explanation(found, model, version)
    if not found.is_reproduced:
        raise typer.Exit(1)


def _as_json(found: Explanation) -> dict[str, object]:
    verdict = found.verdict
    again = found.recomputed
    return {
        "rule_id": verdict.rule_id,
        "rule_version": verdict.rule_version,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "held_from": verdict.span.held_from,
        "held_until": verdict.span.held_until,
        "sync_id": verdict.span.sync_id,
        "policy": {"id": verdict.policy_id, "version": verdict.policy_version, "adopted_at": found.adopted_at},
        "rule": found.rule,
        "values": verdict.values,
        "origins": verdict.origins,
        "thresholds": verdict.thresholds,
        "day": verdict.day,
        "input_hash": verdict.input_hash,
        "record_revision": found.record_revision,
        "code_version": found.code_version,
        "recomputed": again
        and {"verdict": again.verdict.value, "reason": again.reason, "input_hash": again.input_hash},
        "is_reproduced": found.is_reproduced,
        "problems": found.problems,
        "remarks": found.remarks,
        "waivers": [waiver_as_json(one) for one in found.waivers],
    }


def _print_explanation(found: Explanation, model: str, version: int) -> None:
    verdict, rule = found.verdict, found.rule or {}
    out.print(
        Text(
            f"{escape_invisible(model)} version {version}: {escape_invisible(verdict.rule_id)}: {verdict.verdict}",
            style="bold",
        )
    )
    out.print(display(verdict.reason))
    listed = facts()
    until = f" until {display(verdict.span.held_until)}" if verdict.span.held_until else " until now"
    said: dict[str, object] = {
        "held (UTC)": f"from {display(verdict.span.held_from)}{until}",
        "policy": f"{escape_invisible(verdict.policy_id)} {escape_invisible(verdict.policy_version)}, rule version {verdict.rule_version}",
        **{name: rule.get(name) for name in ("title", "rationale", "remedy", "applies", "evidenced", "requires")},
        "record's revision": found.record_revision,
        "hash of the inputs": verdict.input_hash,
    }
    for name, fact in said.items():
        if fact:
            lines = str(fact).split("\n")  # of expressions, which are written in several
            listed.add_row(name, Text("\n").join(map(display, lines)) if isinstance(fact, str) else display(fact))
    out.print(listed)
    values = table("value", "as it stood", "from")
    for path, value in verdict.values.items():
        origin = verdict.origins.get(path) or verdict.origins.get(path.partition(".")[0]) or {}
        values.add_row(display(path), display(value), display(f"{origin['source']} {origin['key']}") if origin else "")
    for name, figure in verdict.thresholds.items():
        values.add_row(display(f"thresholds.{name}"), display(figure), "the policy, or the tenant's description")
    if verdict.day:
        values.add_row("today", verdict.day.isoformat(), "the day of the evaluation")
    out.print(values)
    for one in found.waivers:
        out.print(Text("waived: ", style="cyan"), display(one.waiver.sentence), sep="")
    for remark in found.remarks:
        out.print(display(remark))
    if found.is_reproduced:
        out.print(Text("Judged once more, the rule gives the same verdict on the same values.", style="green"))
    for problem in found.problems:
        out.print(Text("NOT reproduced: ", style="red"), display(problem), sep="")


@app.command()
def diff(
    tenant: TenantName,
    policy_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="A policy to try. It takes the place of the tenant's one of the same id; another is added.",
        ),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FIGURE", help="A figure to try, in the place of the policy's and the tenant's."),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Ask these policies alone, and none of the tenant's.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show which verdicts of a tenant's living versions another policy would change. Nothing is written.

    Compared is with the verdicts as they are kept, by today's date. With neither policy nor threshold, what is tried is
    what tenants.yaml and its files say now. For example: policy diff acme --policy new.yaml --threshold most_days=90
    """
    figures = _figures(threshold or [], as_json)
    if alone and not policy_file:
        fail("--alone needs a --policy to ask", 2, as_json)
    with errors_as_sentences(as_json):
        described = described_tenant(tenant)
        proposed = proposed_rules(described, policy_file or [], replaces_all=alone, thresholds=figures)
        with Store(database_url()) as store:
            found = dry_run(store, tenant, proposed, datetime.now(UTC).date())
    if as_json:
        moves = [
            {
                "rule_id": move.rule_id,
                "what": "badge" if move.rule_id is None else "verdict",
                "before": move.before,
                "after": move.after,
                "versions": count,
                "examples": [{"model_name": name, "version_number": number} for name, number in found.examples[move]],
            }
            for move, count in found.changes.most_common()
        ]
        told = {
            "tenant": tenant,
            "judged": found.evaluated_count,
            "not_judged_as_they_are": found.stale_count,
            "changes": moves,
        }
        sys.stdout.write(json.dumps(told) + "\n")
        return
    _print_difference(found)


def _figures(written: list[str], as_json: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in written:
        name, _, figure = one.partition("=")
        try:
            found[name] = float(figure)
        except ValueError:
            found[name] = math.nan
        if not math.isfinite(found[name]):
            fail(f"{one!r} gives no figure: write --threshold {name or 'most_days'}=90", 2, as_json)
    return found


def _print_difference(found: DryRunResult) -> None:
    out.print(f"{found.evaluated_count:,} living versions were judged; nothing was written")
    if found.stale_count:
        out.print(Text(f"{found.stale_count:,} of them wait to be judged by the present policy: sync first", "yellow"))
    if not found.changes:
        out.print("No verdict and no badge would change.")
        return
    changes = table("rule", "before → after", "versions", "for example", unbroken=("rule",), right=("versions",))
    moves = sorted(found.changes.items(), key=lambda item: (item[0].rule_id is not None, -item[1]))
    for move, count in moves[:_SHOWN]:
        name, number = found.examples[move][0]
        changes.add_row(
            Text("(the badge)", style="bold") if move.rule_id is None else display(move.rule_id),
            f"{move.before or 'not asked'}\n→ {move.after or 'not asked'}",
            f"{count:,}",
            display(f"{escape_invisible(name)} version {number}", 60),
        )
    out.print(changes)
    if len(moves) > _SHOWN:
        out.print(f"… and {len(moves) - _SHOWN:,} more kinds of change: see --json")
