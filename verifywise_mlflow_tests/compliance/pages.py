"""Generate the tables of the pages on policies and frameworks from the default policy and the catalog.

``python -m verifywise_mlflow_tests.compliance.pages`` writes them into the pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

from verifywise_mlflow.compliance.coverage import clause_references, framework_coverage
from verifywise_mlflow.compliance.frameworks import Framework, Obtainable, shipped_catalog
from verifywise_mlflow.compliance.rules.policy import Rule, default_policy
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow_tests.compliance.attempts import attempts_table
from verifywise_mlflow_tests.support.documentation import write_generated_part

ANNEX = "Annex IV("


def rules() -> Iterator[str]:
    """Yield a row for each rule of the default policy."""
    yield "| rule | requirement | severity | possible verdicts | gives evidence for |"
    yield "|---|---|---|---|---|"
    for rule in default_policy(with_examples=True).rules:
        verdicts = [verdict for verdict in Verdict if verdict in {example.verdict for example in rule.examples}]
        yield f"| `{rule.id}` | {rule.title} | {rule.severity} | {', '.join(verdicts)} | {_references(rule)} |"


def thresholds() -> Iterator[str]:
    """Yield a row for each threshold of the default policy."""
    yield "| threshold | default | rules |"
    yield "|---|---|---|"
    policy = default_policy()
    for name, value in policy.thresholds.items():
        compared = [
            f"`{rule.id}`"
            for rule in policy.rules
            if any(name in expression.thresholds for expression in rule.expressions.values())
        ]
        yield f"| `{name}` | {value:g} | {', '.join(compared)} |"


def _references(rule: Rule) -> str:
    return "; ".join(
        f"{framework} {', '.join(f'{reference.clause} ({reference.confidence})' for reference in references)}"
        for framework, references in groupby(rule.references, key=lambda reference: reference.framework)
    )


def frameworks() -> Iterator[str]:
    """Yield a row for each framework: the number of clauses by how much MLflow can show of them."""
    yield f"| framework | clauses | {' | '.join(Obtainable)} |"
    yield f"|---|---|{'---|' * len(Obtainable)}"
    for framework in shipped_catalog().values():
        counts = [sum(clause.obtainable is obtainable for clause in framework.clauses) for obtainable in Obtainable]
        yield f"| {framework.name} | {len(framework.clauses)} | {' | '.join(map(str, counts))} |"


def annex_iv() -> Iterator[str]:
    """Yield a row for each item of Annex IV."""
    yield "| item | MLflow shows | recorded automatically | not shown | confidence |"
    yield "|---|---|---|---|---|"
    for clause in shipped_catalog()["EU AI Act"].clauses:
        if clause.id.startswith(ANNEX):
            number = clause.id.removeprefix("Annex IV")
            cells = (f"{number} {clause.about}", clause.obtainable, clause.direct, clause.blank, clause.confidence)
            yield f"| {' | '.join(cells)} |"


def clauses() -> Iterator[str]:
    """Yield a table of all clauses for each framework, with the certainty of each statement."""
    for framework in shipped_catalog().values():
        yield ""
        yield f"## {framework.name}"
        yield ""
        yield f"{framework.edition}. It covers {framework.covers}. {_sentence(framework)}"
        yield ""
        yield "| clause | about | MLflow shows | not shown | confidence | applicable from |"
        yield "|---|---|---|---|---|---|"
        for clause in framework.clauses:
            application = framework.application_date_of(clause)
            since = application.short_form if application else "voluntary"
            cells = (clause.id, clause.about, clause.obtainable, clause.blank, clause.confidence, since)
            yield f"| {' | '.join(cells)} |"


def dates() -> Iterator[str]:
    """Yield a row for each date from which clauses apply, with its source."""
    yield "| framework | applicable from | source |"
    yield "|---|---|---|"
    for framework in shipped_catalog().values():
        for application in framework.dates.values():
            yield f"| {framework.name} | {application.applicable_from} | {application.cited_source} |"


def rules_without_question() -> Iterator[str]:
    """Yield the clauses of which MLflow could show something and that no default rule covers."""
    for coverage in framework_coverage(
        tuple(shipped_catalog().values()), clause_references(default_policy().rules), ()
    ):
        numbers = [
            covered.clause.id
            for covered in coverage.clauses
            if not covered.rules and covered.clause.obtainable is not Obtainable.NOT_OBTAINABLE
            if covered.clause.obtainable is not Obtainable.SUPPORTS
        ]
        yield f"* {coverage.framework.name}: {', '.join(numbers) or 'none'}"


def sources() -> Iterator[str]:
    """Yield the scope and the source of each framework's list."""
    for framework in shipped_catalog().values():
        yield f"* **{framework.name}** ({framework.edition}): {framework.covers}. {_sentence(framework)}"


def _sentence(framework: Framework) -> str:
    return f"{framework.source[0].upper()}{framework.source[1:].rstrip('.')}."


PARTS: Mapping[str, tuple[str, Callable[[], Iterator[str]]]] = {
    "rules": ("reference/policies.md", rules),
    "thresholds": ("reference/policies.md", thresholds),
    "frameworks": ("reference/frameworks.md", frameworks),
    "annex-iv": ("reference/frameworks.md", annex_iv),
    "dates": ("reference/frameworks.md", dates),
    "clauses": ("reference/clauses.md", clauses),
    "unasked": ("reference/frameworks.md", rules_without_question),
    "sources": ("reference/frameworks.md", sources),
    "attempts": ("reference/attempts-to-fool-the-policy.md", attempts_table),
}
"""Each part's page and the function that generates its lines. In the page, two comments with its name enclose it."""


if __name__ == "__main__":
    for name, (page, lines) in PARTS.items():
        write_generated_part(page, name, lines())
