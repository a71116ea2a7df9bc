"""A rule's clauses as Markdown in Dagster, each with its confidence, the source of its date and a link."""

from __future__ import annotations

from datetime import date

import pytest
from markdown_it import MarkdownIt

from verifywise_mlflow.compliance.frameworks import Clause, Framework, Obtainable
from verifywise_mlflow.compliance.rules.rule import Reference
from verifywise_mlflow.defs.markdown import reference_links

URL = "https://rules.acme.example/models"


@pytest.mark.parametrize(
    ("name", "url", "expected"),
    [
        (
            "House rules",
            URL,
            f'<a href="{URL}">House rules</a> H 1, confidence low; applicable from 2027-12-02 (a *talk*)',
        ),
        ("House rules", None, "House rules H 1, confidence low; applicable from 2027-12-02 (a *talk*)"),
        ("[H](x)", URL, f'<a href="{URL}">[H](x)</a> H 1, confidence low; applicable from 2027-12-02 (a *talk*)'),
        ("[H](x)", None, "[H](x) H 1, confidence low; applicable from 2027-12-02 (a *talk*)"),
    ],
)
def test_a_clause_has_its_certainty_and_only_its_frameworks_link(name: str, url: str | None, expected: str) -> None:
    clause = Clause(id="H 1", about="Models have a team.", obtainable=Obtainable.DECLARED_ONLY)
    framework = Framework(name=name, edition="1", covers="all", source="us", url=url, clauses=(clause,))
    reference = Reference(
        framework=name, clause="H 1", confidence="low", applicable_from=date(2027, 12, 2), source="a *talk*"
    )

    links = reference_links([reference], {name: framework})

    assert MarkdownIt("js-default").render(str(links.value)) == f"<ul>\n<li>{expected}</li>\n</ul>\n"
