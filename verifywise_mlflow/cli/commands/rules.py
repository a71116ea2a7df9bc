"""``verifywise-mlflow policy rules``, ``policy rule`` and ``policy check``: what is asked, in full, and its test."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import TenantName, described_tenant
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, facts, fail, out, table
from verifywise_mlflow.common.untrusted_text import display, escape_invisible, json_ready
from verifywise_mlflow.compliance.policy_check import check_policy
from verifywise_mlflow.compliance.rules.cel_expression import compile_expression
from verifywise_mlflow.compliance.rules.policy import PolicyError, Rule
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.verdict_counts import RuleCount, rule_counts
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.tenant_policies import load_rules


def rules(tenant: TenantName, as_json: AsJson = False) -> None:
    """List the rules that tenants.yaml has a tenant asked, with how many gaps each has in the database.

    A rule that no sync has judged yet has no counts. For example: policy rules acme
    """
    with errors_as_sentences(as_json):
        asked = load_rules(described_tenant(tenant))
        with Store(database_url()) as store, store.begin(tenant) as session:
            counts = rule_counts(session, datetime.now(UTC))
    listed = [{**_in_short(rule, asked), **_counted(counts, rule.id)} for rule in asked.rules]
    if as_json:
        sys.stdout.write(json.dumps({"tenant": tenant, "rules": listed}) + "\n")
        return
    figures = ("open", "waived", "judged")
    shown_rules = table("rule", "severity", "policy", *figures, unbroken=("rule",), right=figures)
    for one in listed:
        numbers = ("-" if one[name] is None else f"{one[name]:,}" for name in figures)
        shown_rules.add_row(display(one["rule_id"]), str(one["severity"]), display(one["policy"]), *numbers)
    out.print(shown_rules)
    thresholds = ", ".join(f"{name} {figure:g}" for name, figure in asked.thresholds.items())
    out.print(
        Text(
            f"{len(listed)} rules; thresholds: {escape_invisible(thresholds) or 'none'}. open: gaps that no waiver covers."
        )
    )


def rule(
    tenant: TenantName,
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id in its policy.")],
    as_json: AsJson = False,
) -> None:
    """Print a rule in full: what it asks, why, what to do, its clauses, and the examples that are its test."""
    with errors_as_sentences(as_json):
        asked = load_rules(described_tenant(tenant))
    found = next((one for one in asked.rules if one.id == rule_id), None)
    if found is None:
        known = ", ".join(asked.policy_of)
        fail(f"no policy of {tenant!r} asks for the rule {rule_id!r}; there are: {known}", 1, as_json)
    if as_json:
        told = {**_in_short(found, asked), **found.model_dump(mode="json")}
        sys.stdout.write(json.dumps(json_ready({"tenant": tenant, **told})) + "\n")
    else:
        _print_rule(found, asked)


def _print_rule(found: Rule, asked: RuleSet) -> None:
    out.print(Text(f"{found.id}: {escape_invisible(found.title)}", style="bold"))
    policy = asked.policy_of[found.id]
    said = facts()
    said.add_row("policy", display(f"{policy.id} {policy.version}, rule version {found.version}"))
    for name in ("severity", "rationale", "remedy", "applies", "evidenced", "requires"):
        said.add_row(name, Text("\n".join(map(escape_invisible, str(getattr(found, name)).split("\n")))))
    for name, figure in _thresholds(found, asked).items():
        said.add_row(f"thresholds.{name}", f"{figure:g}")
    for one in found.references:
        since = f", applicable from {one.applicable_from}" if one.applicable_from else ""
        said.add_row("reference", display(f"{one.framework} {one.clause} (confidence {one.confidence}{since})"))
    out.print(said)
    examples = table("example: what MLflow shows", "verdict", unbroken=("verdict",))
    for example in found.examples:
        given = example.model_dump(mode="json", exclude={"verdict"}, exclude_defaults=True)
        examples.add_row(display(json_ready(given)), example.verdict.value)
    if found.examples:
        out.print(examples)


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy's YAML file.")], as_json: AsJson = False
) -> None:
    """Validate a policy's file, and run the examples of its rules as their test: offline, nothing else is needed."""
    told: dict[str, object]
    try:
        found = check_policy(file)
    except PolicyError as error:
        errors, told = str(error).splitlines(), {"outcome": "unusable"}
    else:
        policy = found.policy
        errors = list(found.failures)
        told = {"outcome": "failed" if errors else "passed", "policy": policy.id, "version": policy.version}
        told |= {
            "rules": len(policy.rules),
            "examples": found.example_count,
            "rules_without_examples": found.rules_without_examples,
        }
    if as_json:
        sys.stdout.write(json.dumps({**told, "errors": errors}) + "\n")
    elif errors:
        for line in errors:
            out.print(Text(escape_invisible(line), style="red"), soft_wrap=True)
    else:
        out.print(Text(f"{told['policy']} {told['version']}: {told['rules']} rules, {told['examples']} examples: good"))
        for rule_id in found.rules_without_examples:
            out.print(Text(f"the rule {rule_id!r} has no examples: nothing tests it", style="yellow"))
    if errors:
        raise typer.Exit(1)


def _in_short(found: Rule, asked: RuleSet) -> dict[str, object]:
    return {
        "rule_id": found.id,
        "title": found.title,
        "severity": found.severity.value,
        "policy": asked.policy_of[found.id].id,
        "policy_version": asked.policy_of[found.id].version,
        "thresholds": _thresholds(found, asked),
    }


def _thresholds(found: Rule, asked: RuleSet) -> dict[str, float]:
    """Return the figures that a rule compares with: the tenant's where it has some."""
    texts = (found.applies, found.evidenced, found.requires)
    return {name: asked.thresholds[name] for text in texts for name in sorted(compile_expression(text).thresholds)}


def _counted(counts: list[RuleCount], rule_id: str) -> dict[str, int | None]:
    of_rule = [one for one in counts if one.rule_id == rule_id]
    if not of_rule:
        return {"judged": None, "open": None, "waived": None}
    words = Counter[str]()
    for one in of_rule:
        words["judged"] += one.versions
        if one.verdict in OPEN:
            words["open"] += one.versions - one.waived
            words["waived"] += one.waived
    return {name: words[name] for name in ("judged", "open", "waived")}
