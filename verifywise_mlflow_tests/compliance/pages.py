"""The tables of the pages on policies and frameworks, made from what they tell of.

``python -m verifywise_mlflow_tests.compliance.pages`` writes them into the pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

from verifywise_mlflow.compliance.coverage import coverage, references_of
from verifywise_mlflow.compliance.frameworks import Framework, Obtainable, catalogue
from verifywise_mlflow.compliance.rules.policy import Rule, default_policy
from verifywise_mlflow.compliance.verdict import Verdict

DOCS = Path(__file__).parents[2] / "docs"
ANNEX = "Annex IV("


def rules() -> Iterator[str]:
    """Yield a row for each rule of the default policy."""
    yield "| rule | what holds where it is met | severity | can give | gives evidence for |"
    yield "|---|---|---|---|---|"
    for rule in default_policy().rules:
        verdicts = [verdict for verdict in Verdict if verdict in {one.verdict for one in rule.examples}]
        yield f"| `{rule.id}` | {rule.title} | {rule.severity} | {', '.join(verdicts)} | {_references(rule)} |"


def _references(rule: Rule) -> str:
    return "; ".join(
        f"{framework} {', '.join(one.clause for one in references)}"
        for framework, references in groupby(rule.references, key=lambda one: one.framework)
    )


def frameworks() -> Iterator[str]:
    """Yield a row for each framework, with how many of its clauses MLflow can show how much of."""
    yield f"| framework | clauses | {' | '.join(Obtainable)} |"
    yield f"|---|---|{'---|' * len(Obtainable)}"
    for framework in catalogue().values():
        counts = [sum(clause.obtainable is one for clause in framework.clauses) for one in Obtainable]
        yield f"| {framework.name} | {len(framework.clauses)} | {' | '.join(map(str, counts))} |"


def annex_iv() -> Iterator[str]:
    """Yield a row for each item of Annex IV."""
    yield "| item | MLflow shows | recorded by itself | it does not show |"
    yield "|---|---|---|---|"
    for clause in catalogue()["EU AI Act"].clauses:
        if clause.id.startswith(ANNEX):
            number = clause.id.removeprefix("Annex IV")
            yield f"| {number} {clause.about} | {clause.obtainable} | {clause.direct} | {clause.blank} |"


def unasked() -> Iterator[str]:
    """Yield the clauses of which MLflow could show something and about which no rule of the default policy asks."""
    for covered in coverage(tuple(catalogue().values()), references_of(default_policy().rules), ()):
        numbers = [
            one.clause.id
            for one in covered.clauses
            if not one.rules and one.clause.obtainable is not Obtainable.NOT_OBTAINABLE
            if one.clause.shown_by == "rules"
        ]
        yield f"* {covered.framework.name}: {', '.join(numbers) or 'none'}"


def sources() -> Iterator[str]:
    """Yield what each framework's list covers and where it comes from."""
    for framework in catalogue().values():
        yield f"* **{framework.name}** ({framework.edition}): {framework.covers}. {_sentence(framework)}"


def _sentence(framework: Framework) -> str:
    return f"{framework.source[0].upper()}{framework.source[1:]}."


PARTS: Mapping[str, tuple[str, Callable[[], Iterator[str]]]] = {
    "rules": ("policies.md", rules),
    "frameworks": ("frameworks.md", frameworks),
    "annex-iv": ("frameworks.md", annex_iv),
    "unasked": ("frameworks.md", unasked),
    "sources": ("frameworks.md", sources),
}
"""Each part's page, and what makes its lines. In the page it stands between two comments with its name."""


def between(page: str, name: str) -> str:
    """Return the part of a page with the name."""
    (found,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", page, re.DOTALL)
    return str(found)


if __name__ == "__main__":
    for name, (file, lines) in PARTS.items():
        page = (DOCS / file).read_text(encoding="utf-8")
        first, last = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        (DOCS / file).write_text(
            page.replace(first + between(page, name) + last, first + "\n".join(lines()) + last), encoding="utf-8"
        )
