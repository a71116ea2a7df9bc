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
    for rule in default_policy().rules:
        verdicts = [verdict for verdict in Verdict if verdict in {example.verdict for example in rule.examples}]
        yield f"| `{rule.id}` | {rule.title} | {rule.severity} | {', '.join(verdicts)} | {_references(rule)} |"


def _references(rule: Rule) -> str:
    return "; ".join(
        f"{framework} {', '.join(reference.clause for reference in references)}"
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
    yield "| item | MLflow shows | recorded automatically | not shown |"
    yield "|---|---|---|---|"
    for clause in shipped_catalog()["EU AI Act"].clauses:
        if clause.id.startswith(ANNEX):
            number = clause.id.removeprefix("Annex IV")
            yield f"| {number} {clause.about} | {clause.obtainable} | {clause.direct} | {clause.blank} |"


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
    return f"{framework.source[0].upper()}{framework.source[1:]}."


PARTS: Mapping[str, tuple[str, Callable[[], Iterator[str]]]] = {
    "rules": ("reference/policies.md", rules),
    "frameworks": ("reference/frameworks.md", frameworks),
    "annex-iv": ("reference/frameworks.md", annex_iv),
    "unasked": ("reference/frameworks.md", rules_without_question),
    "sources": ("reference/frameworks.md", sources),
    "attempts": ("reference/attempts-to-fool-the-policy.md", attempts_table),
}
"""Each part's page and the function that generates its lines. In the page, two comments with its name enclose it."""


if __name__ == "__main__":
    for name, (page, lines) in PARTS.items():
        write_generated_part(page, name, lines())
