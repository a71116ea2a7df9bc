"""A document in the order of a framework's clauses: values with their sources, declared facts, and blanks."""

from __future__ import annotations

import pytest

from verifywise_mlflow.compliance.frameworks import shipped_catalog
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.documents.blocks import Document, Paragraph, Section
from verifywise_mlflow.documents.clause_documents.document import (
    TO_BE_WRITTEN,
    FilledClause,
    Filling,
    clause_document,
    filled_parts,
)
from verifywise_mlflow.documents.clause_documents.outline import outline_of
from verifywise_mlflow.documents.html.rendering import render_document
from verifywise_mlflow.documents.markdown import render_markdown
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.system_facts import SystemFacts, system_facts
from verifywise_mlflow.services.version_dossier import VersionDossier, dossier
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.declared_systems import LENDING, seed_bank, tenant_declaring, write_ai_systems
from verifywise_mlflow_tests.support.stored_states import day

AI_ACT = shipped_catalog()["EU AI Act"]
Documented = tuple[VersionDossier, SystemFacts]


@pytest.fixture(scope="module")
def bank(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Documented]:
    """A version of a declared system, and a version whose system only a tag names."""
    path = write_ai_systems(tmp_path_factory.mktemp("bank") / "ai_systems.yaml", LENDING)
    with migrated_database(postgres) as url, Store(url) as store:
        seed_bank(store, tenant_declaring(path))
        documented = {}
        with store.begin("acme") as session:
            for name, key in (("declared", ("credit-scoring", 2)), ("tagged", ("churn", 1))):
                found = dossier(session, key, day(2))
                assert found is not None
                documented[name] = (found, system_facts(session, found))
    return documented


def clauses(documented: Documented, framework: str = "EU AI Act") -> dict[str, FilledClause]:
    found, facts = documented
    parts = filled_parts(found, shipped_catalog()[framework], facts)
    return {filled.outlined.id: filled for part in parts for filled in part.clauses}


def test_annex_iv_has_its_23_points_in_their_order() -> None:
    outlined = [clause.id for part in outline_of(AI_ACT).parts for clause in part.clauses]

    assert outlined == [clause.id for clause in AI_ACT.clauses if clause.id.startswith("Annex IV(")]
    assert len(outlined) == 23


def test_each_value_has_its_source_and_a_tag_is_a_claim(bank: dict[str, Documented]) -> None:
    values = {value.label: value for value in clauses(bank["declared"])["Annex IV(1)(a)"].values}

    purpose = values["Purpose"]
    assert purpose.text == "Assesses <b>loans</b> | first"
    assert (purpose.source, purpose.is_claim) == ("Declared by a tag of the version: business_purpose", True)
    assert "Earlier version 1" in values
    assert not values["Earlier version 1"].is_claim


def test_declared_facts_stay_apart_from_what_mlflow_shows(bank: dict[str, Documented]) -> None:
    risk = clauses(bank["declared"])["Annex IV(5)"]

    assert [(value.label, value.text) for value in risk.values] == [("Risk category", "high")]
    assert risk.filling is Filling.DECLARED  # a category is not risk management, no matter who states it
    assert ("Basis of the decision", "Annex III, point 5(b)") in [(fact.label, fact.text) for fact in risk.facts]
    assert [(document.label, document.text) for document in risk.documents] == [
        ("Risk management file", "https://documents.acme.example/risk, version 3")
    ]
    assert not any(filled.facts or filled.documents for filled in clauses(bank["tagged"]).values())


def test_what_nothing_shows_is_blank_and_everything_asks_a_person(bank: dict[str, Documented]) -> None:
    found, facts = bank["declared"]
    filled = clauses(bank["declared"])

    assert {number for number, clause in filled.items() if clause.filling is Filling.BLANK} >= {
        f"Annex IV{number}" for number in ("(1)(b)", "(1)(d)", "(1)(h)", "(2)(f)", "(7)", "(8)")
    }
    markdown = render_markdown(clause_document(found, AI_ACT, facts))
    assert markdown.count(f"**{TO_BE_WRITTEN}:") == 23
    assert "Of 23 points: " in markdown


def test_texts_from_mlflow_are_no_markup_in_either_form(bank: dict[str, Documented]) -> None:
    document = clause_document(bank["declared"][0], AI_ACT, bank["declared"][1])

    assert r"Assesses \<b\>loans\</b\> \| first" in render_markdown(document)
    page = render_document(document)
    assert "Assesses &lt;b&gt;loans&lt;/b&gt; | first" in page
    assert "of the AI system Consumer lending" in page


def test_a_text_begins_no_list_and_links_nothing_in_markdown() -> None:
    texts = ["1. first", "23) second", "- third", "+ fourth", "5.5 stays", "see https://evil.test", "ask @admin"]
    document = Document("t", "s", (Section("h", "h", tuple(map(Paragraph, texts))),), day(1))

    lines = render_markdown(document).splitlines()

    assert [line for line in lines[5:] if line] == [
        *(r"1\. first", r"23\) second", r"\- third", r"\+ fourth", "5.5 stays"),
        *("see `https://evil.test`", "ask `@admin`"),
    ]


@pytest.mark.parametrize("framework", ["ISO/IEC 42001", "NIST AI RMF"])
def test_another_framework_gets_a_document_with_all_its_clauses(bank: dict[str, Documented], framework: str) -> None:
    filled = clauses(bank["declared"], framework)

    assert list(filled) == [clause.id for clause in shipped_catalog()[framework].clauses]
    assert any(clause.values for clause in filled.values())
    assert all(clause.outlined.asks for clause in filled.values())
    assert f"in the order of {framework}" in render_document(
        clause_document(bank["declared"][0], shipped_catalog()[framework], bank["declared"][1])
    )
