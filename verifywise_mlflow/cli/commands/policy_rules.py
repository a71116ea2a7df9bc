"""``verifywise-mlflow policy rules``, ``policy rule`` and ``policy check``: rules, and the test of a policy file."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import TenantName, configured_tenant, listed
from verifywise_mlflow.cli.display import display
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, facts, out, table
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.compliance.frameworks import CatalogError, extend_catalog
from verifywise_mlflow.compliance.policy_check import check_policy
from verifywise_mlflow.compliance.rules.policy import PolicyError, Rule
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.verdict_counts import RuleCount, rule_counts
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.rule_worker_client import RuleWorker
from verifywise_mlflow.services.sandboxed_evaluation import evaluate_example
from verifywise_mlflow.services.tenant_policies import load_rules


def rules(tenant: TenantName, as_json: AsJson = False) -> None:
    """List the rules of a tenant's policies, with the number of gaps each has in the database.

    A rule that no sync has evaluated yet has no counts. For example: policy rules acme
    """
    with exit_on_errors(as_json):
        ruleset = load_rules(configured_tenant(tenant))
        with Store(database_url()) as store, store.begin(tenant) as session:
            counts = rule_counts(session, datetime.now(UTC))
    rows = [{**_summary(rule, ruleset), **_counted(counts, rule.id)} for rule in ruleset.rules]
    if as_json:
        sys.stdout.write(json.dumps({"tenant": tenant, "rules": rows}) + "\n")
        return
    columns = ("open", "waived", "judged")
    shown_rules = table("rule", "severity", "policy", *columns, unbroken=("rule",), right=columns)
    for row in rows:
        cells = ("-" if row[name] is None else f"{row[name]:,}" for name in columns)
        shown_rules.add_row(display(row["rule_id"]), str(row["severity"]), display(row["policy"]), *cells)
    out.print(shown_rules)
    thresholds = ", ".join(f"{name} {number:g}" for name, number in ruleset.thresholds.items())
    out.print(
        Text(f"{len(rows)} rules; thresholds: {escape_invisible(thresholds) or 'none'}. open: gaps without a waiver.")
    )


def rule(
    tenant: TenantName,
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id in its policy.")],
    as_json: AsJson = False,
) -> None:
    """Print a rule: its conditions, rationale, remedy, clauses, and the examples that test it."""
    with exit_on_errors(as_json):
        ruleset = load_rules(configured_tenant(tenant))
        rule_found = next((row for row in ruleset.rules if row.id == rule_id), None)
        if rule_found is None:
            names = ruleset.policy_of
            sentence = f"no policy of {quote(tenant)} has the rule {quote(rule_id)}; its rules are: {listed(names)}"
            raise unknown_name(sentence, rule_id, names)
    if as_json:
        document = {**_summary(rule_found, ruleset), **rule_found.model_dump(mode="json")}
        sys.stdout.write(json.dumps(json_ready({"tenant": tenant, **document})) + "\n")
    else:
        _print_rule(rule_found, ruleset)


def _print_rule(rule_found: Rule, ruleset: RuleSet) -> None:
    out.print(Text(f"{rule_found.id}: {escape_invisible(rule_found.title)}", style="bold"))
    policy = ruleset.policy_of[rule_found.id]
    properties = facts()
    properties.add_row("policy", display(f"{policy.id} {policy.version}, rule version {rule_found.version}"))
    for name in ("severity", "rationale", "remedy", "applies", "evidenced", "requires"):
        properties.add_row(name, Text("\n".join(map(escape_invisible, str(getattr(rule_found, name)).split("\n")))))
    for condition in rule_found.conditions:
        properties.add_row("condition", display(f"otherwise {condition.otherwise}: {condition.holds}"))
    for name, number in _thresholds(rule_found, ruleset).items():
        properties.add_row(f"thresholds.{name}", f"{number:g}")
    for row in rule_found.references:
        properties.add_row("reference", display(row.citation))
    out.print(properties)
    examples = table("example input", "verdict", unbroken=("verdict",))
    for example in rule_found.examples:
        example_input = example.model_dump(mode="json", exclude={"verdict"}, exclude_defaults=True)
        examples.add_row(display(json_ready(example_input)), example.verdict.value)
    if rule_found.examples:
        out.print(examples)


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy's YAML file.")],
    framework_file: Annotated[
        list[Path] | None,
        typer.Option("--framework", metavar="FILE", help="A framework's YAML file that the rules may refer to."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Validate a policy file and test its rules with their examples. Works offline."""
    document: dict[str, object]
    try:
        catalog = extend_catalog(framework_file or [])
        with exit_on_errors(as_json), RuleWorker() as worker:
            rule_found = check_policy(file, partial(evaluate_example, worker=worker), catalog)
    except (PolicyError, CatalogError) as error:
        errors, document = str(error).splitlines(), {"outcome": "unusable"}
    else:
        policy = rule_found.policy
        errors = list(rule_found.failures)
        document = {"outcome": "failed" if errors else "passed", "policy": policy.id, "version": policy.version}
        document |= {
            "rules": len(policy.rules),
            "examples": rule_found.example_count,
            "rules_without_examples": rule_found.rules_without_examples,
        }
    if as_json:
        sys.stdout.write(json.dumps({**document, "errors": errors}) + "\n")
    elif errors:
        for line in errors:
            out.print(Text(escape_invisible(line), style="red"), soft_wrap=True)
    else:
        out.print(
            Text(
                f"{document['policy']} {document['version']}: "
                f"{document['rules']} rules, {document['examples']} examples: passed"
            )
        )
        for rule_id in rule_found.rules_without_examples:
            out.print(Text(f"the rule {rule_id!r} has no examples, so nothing tests it", style="yellow"))
    if errors:
        raise typer.Exit(1)


def _summary(rule_found: Rule, ruleset: RuleSet) -> dict[str, object]:
    return {
        "rule_id": rule_found.id,
        "title": rule_found.title,
        "severity": rule_found.severity.value,
        "policy": ruleset.policy_of[rule_found.id].id,
        "policy_version": ruleset.policy_of[rule_found.id].version,
        "thresholds": _thresholds(rule_found, ruleset),
    }


def _thresholds(rule_found: Rule, ruleset: RuleSet) -> dict[str, float]:
    """Return the thresholds that a rule uses, with the tenant's overrides."""
    return {
        name: ruleset.thresholds[name]
        for expression in rule_found.expressions.values()
        for name in sorted(expression.thresholds)
    }


def _counted(counts: list[RuleCount], rule_id: str) -> dict[str, int | None]:
    of_rule = [row for row in counts if row.rule_id == rule_id]
    if not of_rule:
        return {"judged": None, "open": None, "waived": None}
    totals = Counter[str]()
    for row in of_rule:
        totals["judged"] += row.versions
        if row.verdict in OPEN_VERDICTS:
            totals["open"] += row.versions - row.waived
            totals["waived"] += row.waived
    return {name: totals[name] for name in ("judged", "open", "waived")}
