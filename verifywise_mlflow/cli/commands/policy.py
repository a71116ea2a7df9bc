"""``verifywise-mlflow policy explain`` and ``policy diff``: the reproduction of a verdict, and a policy dry run."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import (
    AsOf,
    ModelName,
    StoredTenantName,
    TenantName,
    VersionReference,
    configured_tenant,
)
from verifywise_mlflow.cli.commands.policy_gaps import gaps
from verifywise_mlflow.cli.commands.policy_rules import check, rule, rules
from verifywise_mlflow.cli.commands.policy_waivers import unwaive, waive, waivers
from verifywise_mlflow.cli.display import display, display_name, waiver_as_json
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, facts, fail, out, table
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.compliance.metric_interpretation import describe_level
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.policy_dry_run import DryRunResult, dry_run, proposed_rules
from verifywise_mlflow.services.tenant_policies import load_facts
from verifywise_mlflow.services.verdict_explanation import Explanation
from verifywise_mlflow.services.verdict_explanation import explain_verdict as explanation_of
from verifywise_mlflow.services.version_references import require_known_rule, require_recorded, resolve_version

app = typer.Typer(help="Inspect rules, explain verdicts, try out a policy, and manage waivers.", no_args_is_help=True)
for command in (rules, rule, gaps, check, waivers, waive, unwaive):
    app.command()(command)

RuleId = Annotated[str, typer.Argument(metavar="RULE", help="The rule's id in its policy.")]
_MAX_POLICY_TEXT = 4_000
"""The maximum number of characters that are printed of each text of a rule: enough for a whole rationale."""
_MAX_ROWS = 40
"""The maximum number of rows in the table of changes. ``--json`` prints all rows."""


@app.command()
def explain(
    tenant: StoredTenantName,
    model: ModelName,
    version: VersionReference,
    rule: RuleId,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Explain a verdict and reproduce it: evaluate the rule of that time on the record of that time.

    Reads the database only.
    """
    at = as_of or datetime.now(UTC)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        number = resolve_version(session, model, version, as_of)
        explanation = explanation_of(session, (model, number), rule, at)
        if explanation is None:
            require_recorded(session, (model, number))
            require_known_rule(session, (model, number), rule)
    if explanation is None:
        when = f" as of {utc_text(at)}" if as_of else ""
        version_label = f"{quote(model)} version {number} of the tenant {quote(tenant)}"
        fail(f"there is no verdict of {quote(rule)} on {version_label}{when}", 1, as_json)
    if as_json:
        document = {
            "tenant": tenant,
            "model_name": model,
            "version_number": number,
            "as_of": at,
            **_as_json(explanation),
        }
        sys.stdout.write(json.dumps(json_ready(document)) + "\n")
    else:
        if as_of:
            out.print(f"As of {utc_text(at)}", highlight=False)
        _print_explanation(explanation, model, number)
    if not explanation.is_reproduced:
        raise typer.Exit(1)


def _as_json(explanation: Explanation) -> dict[str, object]:
    verdict = explanation.verdict
    reproduced = explanation.recomputed
    return {
        "rule_id": verdict.rule_id,
        "rule_version": verdict.rule_version,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "held_from": verdict.span.valid_from,
        "held_until": verdict.span.valid_to,
        "sync_id": verdict.span.sync_id,
        "policy": {"id": verdict.policy_id, "version": verdict.policy_version, "adopted_at": explanation.adopted_at},
        "rule": explanation.rule_document,
        "values": verdict.values,
        "origins": verdict.origins,
        "thresholds": verdict.thresholds,
        "day": verdict.day,
        "input_hash": verdict.input_hash,
        "record_revision": explanation.record_revision,
        "code_version": explanation.code_version,
        "recomputed": reproduced
        and {"verdict": reproduced.verdict.value, "reason": reproduced.reason, "input_hash": reproduced.input_hash},
        "is_reproduced": explanation.is_reproduced,
        "problems": explanation.problems,
        "remarks": explanation.remarks,
        "waivers": [waiver_as_json(text) for text in explanation.waivers],
    }


def _print_explanation(explanation: Explanation, model: str, version: int) -> None:
    verdict, rule = explanation.verdict, explanation.rule_document or {}
    out.print(
        Text(
            f"{escape_invisible(model)} version {version}: {escape_invisible(verdict.rule_id)}: {verdict.verdict}",
            style="bold",
        )
    )
    out.print(display(verdict.reason))
    rows = facts()
    until = f" until {display(verdict.span.valid_to)}" if verdict.span.valid_to else " until now"
    values: dict[str, object] = {
        "held (UTC)": f"from {display(verdict.span.valid_from)}{until}",
        "policy": f"{escape_invisible(verdict.policy_id)} {escape_invisible(verdict.policy_version)}, "
        f"rule version {verdict.rule_version}",
        **{name: rule.get(name) for name in ("title", "rationale", "remedy", "applies", "evidenced", "requires")},
        "conditions": _conditions(rule),
        "record revision": explanation.record_revision,
        "input hash": verdict.input_hash,
    }
    for name, fact in values.items():
        if fact:
            lines = str(fact).split("\n")  # expressions may have several lines
            text = Text("\n").join(display(line, _MAX_POLICY_TEXT) for line in lines)
            rows.add_row(name, text if isinstance(fact, str) else display(fact))
    out.print(rows)
    values_table = table("value", "as it stood", "from")
    for path, value in verdict.values.items():
        origin = verdict.origins.get(path) or verdict.origins.get(path.partition(".")[0]) or {}
        values_table.add_row(
            display(path), display(value), display(f"{origin['source']} {origin['key']}") if origin else ""
        )
    for name, number in verdict.thresholds.items():
        values_table.add_row(display(f"thresholds.{name}"), display(number), "the policy, or the tenant's description")
    if verdict.day:
        values_table.add_row("today", verdict.day.isoformat(), "the day of the evaluation")
    out.print(values_table)
    for stored in explanation.waivers:
        out.print(Text("waived: ", style="cyan"), display(stored.waiver.sentence), sep="")
    for remark in explanation.remarks:
        out.print(display(remark))
    if explanation.is_reproduced:
        out.print(Text("Reproduced: the rule gives the same verdict on the same values.", style="green"))
    for problem in explanation.problems:
        out.print(Text("NOT reproduced: ", style="red"), display(problem), sep="")


def _conditions(rule: Mapping[str, object]) -> str:
    rows = rule.get("conditions")
    listed = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return "\n".join(f"otherwise {row['otherwise']}: {row['holds']}" for row in listed)


@app.command()
def diff(
    tenant: TenantName,
    policy_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="A policy to try. It replaces the tenant's policy of the same id; a policy of another id is added.",
        ),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="A threshold to try instead of the policy's and the tenant's."),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Use only these policies and none of the tenant's.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show which verdicts of a tenant's versions another policy would change. Nothing is written.

    Evaluates today and compares with the stored verdicts. Without a policy and a threshold, it evaluates the current
    tenants.yaml and its files. For example: policy diff acme --threshold longest_days_since_training=90
    """
    thresholds = _parse_thresholds(threshold or [], as_json)
    if alone and not policy_file:
        fail("--alone requires --policy", 2, as_json)
    with exit_on_errors(as_json):
        described = configured_tenant(tenant)
        proposed = proposed_rules(described, policy_file or [], replaces_all=alone, thresholds=thresholds)
        with Store(database_url()) as store:
            result = dry_run(store, tenant, proposed, load_facts(described), datetime.now(UTC).date())
    if as_json:
        changes_by_count = [
            {
                "rule_id": change.rule_id,
                "what": "badge" if change.rule_id is None else "verdict",
                "before": change.before,
                "after": change.after,
                "versions": count,
                "examples": [
                    {"model_name": name, "version_number": number} for name, number in result.examples[change]
                ],
            }
            for change, count in result.changes.most_common()
        ]
        document = {
            "tenant": tenant,
            "judged": result.evaluated_count,
            "not_judged_as_they_are": result.stale_count,
            "changes": changes_by_count,
            "levels": dict(proposed.levels),
        }
        sys.stdout.write(json.dumps(document) + "\n")
        return
    for name, level in proposed.levels.items():
        out.print(Text(f"{name}: no rule compares with it, so {describe_level(name, level)}"))
    _print_dry_run(result)


def _parse_thresholds(texts: list[str], as_json: bool) -> dict[str, float]:
    thresholds: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            thresholds[name] = float(number)
        except ValueError:
            thresholds[name] = math.nan
        if not math.isfinite(thresholds[name]):
            fail(f"{text!r} is not a number: write --threshold {name or 'longest_days_since_training'}=90", 2, as_json)
    return thresholds


def _print_dry_run(result: DryRunResult) -> None:
    out.print(f"{result.evaluated_count:,} versions were evaluated; nothing was written")
    if result.stale_count:
        out.print(
            Text(f"{result.stale_count:,} of them are not yet evaluated by the current policy: sync first", "yellow")
        )
    if not result.changes:
        out.print("No verdict and no badge would change.")
        return
    changes = table("rule", "before → after", "versions", "for example", unbroken=("rule",), right=("versions",))
    changes_by_count = sorted(result.changes.items(), key=lambda item: (item[0].rule_id is not None, -item[1]))
    for change, count in changes_by_count[:_MAX_ROWS]:
        name, number = result.examples[change][0]
        changes.add_row(
            Text("(badge)", style="bold") if change.rule_id is None else display(change.rule_id),
            f"{change.before or 'no rule'}\n→ {change.after or 'no rule'}",
            f"{count:,}",
            display_name(f"{name} version {number}", 60),
        )
    out.print(changes)
    if len(changes_by_count) > _MAX_ROWS:
        out.print(f"... and {len(changes_by_count) - _MAX_ROWS:,} more kinds of change: see --json")
