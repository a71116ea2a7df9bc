"""The Grafana dashboard and the Prometheus alert rules are well-formed and name only metrics and labels that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import promql_parser
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from verifywise_mlflow.cli.app import all_commands
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.services.metrics.catalog import METRICS, exposed_names
from verifywise_mlflow.services.metrics.collector import OUTCOMES_OF_SYNCS
from verifywise_mlflow_tests.support.documentation import ROOT

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "verifywise-mlflow.json"

LABELS: Mapping[str, frozenset[str]] = {
    name: frozenset((*metric.labels, *(["le"] if name.endswith("_bucket") else [])))
    for metric in METRICS.values()
    for name in exposed_names(metric)
}
CLOSED_LABELS = {
    "severity": {severity.value for severity in Severity},
    "outcome": set(OUTCOMES_OF_SYNCS),
    "status": {"queued", "not_started", "starting", "started", "canceling"},
    "source": {"database", "dagster"},
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Rule(_Strict):
    """A rule, as Prometheus documents it. Prometheus refuses other keys, too."""

    alert: str = Field(pattern=r"^Verifywise[A-Za-z]+$")
    expr: str
    wait: str = Field(alias="for", pattern=r"^\d+[smhd]$")
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Group(_Strict):
    name: str
    rules: Sequence[Rule]


class RuleFile(_Strict):
    groups: Sequence[Group]


def alert_rules() -> list[Rule]:
    document = RuleFile.model_validate(yaml.safe_load(ALERTS.read_text(encoding="utf-8")))
    return [rule for group in document.groups for rule in group.rules]


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of the dashboard."""

    panel: str
    expression: str
    legend: str


def dashboard() -> dict[str, object]:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def dashboard_queries() -> Iterator[Query]:
    panels = dashboard()["panels"]
    assert isinstance(panels, list)
    for panel in panels:
        for target in panel["targets"]:
            yield Query(panel["title"], target["expr"].replace("$__rate_interval", "5m"), target["legendFormat"])


EXPRESSIONS = [
    *(pytest.param(rule.expr, id=rule.alert) for rule in alert_rules()),
    *(pytest.param(query.expression, id=query.panel) for query in dashboard_queries()),
]


def problems_of(expression: str) -> list[str]:
    """Return the problems of an expression: metrics or labels that do not exist, values that no label has."""
    problems: list[str] = []
    names: list[str] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            name = node.name or ""
            names.append(name)
            if name not in LABELS:
                problems.append(f"no metric {name}")
            for matcher in node.matchers.matchers:
                if matcher.name not in LABELS.get(name, ()):
                    problems.append(f"{name} has no label {matcher.name}")
                values = CLOSED_LABELS.get(matcher.name)
                if values and str(matcher.op) == "MatchOp.Equal" and matcher.value not in values:
                    problems.append(f"{matcher.name} is never {matcher.value}")
        return True

    tree = promql_parser.parse(expression)
    promql_parser.walk(tree, visit)
    problems += [
        f"no selected metric has the label {label}"
        for clause in re.findall(r"\b(?:by|without|on)\s*\(([^)]*)\)", expression)
        for label in filter(None, map(str.strip, clause.split(",")))
        if not any(label in LABELS.get(name, ()) for name in names)
    ]
    return problems if names else ["no metric at all"]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_names_metrics_and_labels_that_the_endpoint_serves(expression: str) -> None:
    assert problems_of(expression) == []


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("verifywise_stalee == 1", "no metric verifywise_stalee"),
        ("verifywise_syncs > 1", "no metric verifywise_syncs"),
        ('verifywise_stale{stage="x"}', "verifywise_stale has no label stage"),
        ('verifywise_open_gaps{severity="severe"}', "severity is never severe"),
        ("sum by (model) (verifywise_open_gaps)", "no selected metric has the label model"),
        ("vector(1)", "no metric at all"),
    ],
)
def test_the_check_of_expressions_finds_mistakes(expression: str, problem: str) -> None:
    assert problems_of(expression) == [problem]


def test_every_alert_has_a_severity_and_says_what_to_do() -> None:
    rules = alert_rules()

    assert len({rule.alert for rule in rules}) == len(rules)
    assert {rule.labels["severity"] for rule in rules} == {"info", "warning", "critical"}
    assert [rule.alert for rule in rules if set(rule.annotations) != {"summary", "description"}] == []


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule.alert)
def test_the_texts_of_an_alert_use_labels_and_commands_that_exist(rule: Rule) -> None:
    texts = " ".join(rule.annotations.values())
    used = set(re.findall(r"\$labels\.(\w+)", texts))
    commands = re.findall(r"verifywise-mlflow ((?:policy|audit|db|deliver) \w+|\w+)", texts)
    names = re.findall(r"verifywise_\w+", rule.expr)

    assert used <= set().union(*(LABELS[name] for name in names))
    assert set(commands) - {"is"} <= {path for path, _ in all_commands()}


def test_the_panels_of_the_dashboard_are_distinct_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert isinstance(panels, list)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert [panel["title"] for panel in panels if not panel["description"]] == []


def test_the_dashboard_uses_no_variable_that_it_does_not_define() -> None:
    document = dashboard()
    templating = document["templating"]
    assert isinstance(templating, dict)
    defined = {variable["name"] for variable in templating["list"]}
    builtin = {"__rate_interval", "__all"}

    assert set(re.findall(r"\$\{?(\w+)", json.dumps(document))) - builtin == defined
    for metric, label in re.findall(r"label_values\((\w+), (\w+)\)", json.dumps(document)):
        assert label in LABELS[metric]


@pytest.mark.parametrize("query", dashboard_queries(), ids=lambda query: query.panel)
def test_the_legend_of_a_query_uses_labels_that_its_result_has(query: Query) -> None:
    names = re.findall(r"verifywise_\w+", query.expression)

    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= set().union(*(LABELS[name] for name in names))
