"""The catalogue of clauses, and what a file of it has to say."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from verifywise_mlflow.compliance.frameworks import (
    FRAMEWORK_NAMES,
    CatalogueError,
    Obtainable,
    catalogue,
    load_framework,
)
from verifywise_mlflow.compliance.rules.cel_expression import compiled
from verifywise_mlflow.compliance.rules.policy import default_policy

EU = catalogue()["EU AI Act"]
READ_FROM_FILES = {"runtime_environment", "artifact_manifest", "evidence_files"}
DECLARABLE = [
    rule for rule in default_policy().rules if not {path[0] for path in compiled(rule.requires).paths} & READ_FROM_FILES
]
"""Rules that look at no file: what they pass on may stand in a tag."""

WRITTEN = """\
name: GDPR
edition: Regulation (EU) 2016/679
covers: one article
source: from memory
dates:
  in-force: {applicable_from: 2018-05-25, source: Art. 99(2)}
clauses:
  - id: Art. 35
    about: An impact assessment.
    obtainable: partly
    blank: The assessment.
    applies: in-force
"""


def test_it_has_each_framework() -> None:
    assert tuple(catalogue()) == FRAMEWORK_NAMES


def test_it_has_all_items_of_annex_iv_and_those_that_mlflow_cannot_show_are_blank() -> None:
    annex = {clause.id.removeprefix("Annex IV"): clause for clause in EU.clauses if clause.id.startswith("Annex IV(")}

    assert list(annex) == [f"(1)({letter})" for letter in "abcdefgh"] + [f"(2)({letter})" for letter in "abcdefgh"] + [
        f"({number})" for number in range(3, 10)
    ]
    blank = [number for number, clause in annex.items() if clause.obtainable is Obtainable.NOT_OBTAINABLE]
    assert blank == [
        *("(1)(b)", "(1)(d)", "(1)(f)", "(1)(g)", "(1)(h)"),
        *("(2)(e)", "(2)(f)", "(4)", "(5)", "(7)", "(8)", "(9)"),
    ]
    assert [number for number, clause in annex.items() if clause.direct] == ["(1)(a)", "(1)(c)", "(2)(a)", "(2)(g)"]


def test_what_a_tag_alone_can_make_a_rule_pass_on_is_never_evidenced_in_full() -> None:
    # A version's tags may name the commit and the program, so a pass on them can be somebody's word.
    by_tag = {(one.framework, one.clause) for rule in DECLARABLE for one in rule.references}

    assert [
        (framework.name, clause.id)
        for framework in catalogue().values()
        for clause in framework.clauses
        if clause.obtainable is Obtainable.EVIDENCED and (framework.name, clause.id) in by_tag
    ] == []


def test_it_has_all_subcategories_of_nist_and_all_controls_of_iso() -> None:
    nist = Counter(clause.id.split()[0] for clause in catalogue()["NIST AI RMF"].clauses)
    iso = Counter(clause.id.startswith("A.") for clause in catalogue()["ISO/IEC 42001"].clauses)

    assert nist == {"GOVERN": 19, "MAP": 18, "MEASURE": 22, "MANAGE": 13}
    assert iso[True] == 38


@pytest.mark.parametrize("number", ["Art. 12", "Art. 14", "Art. 19", "Art. 26(6)", "Art. 72", "Art. 73"])
def test_what_only_a_running_system_shows_is_not_obtainable(number: str) -> None:
    # Operating logs above all: the account of what was read from a registry is no event log of a system.
    assert EU.by_id[number].obtainable is Obtainable.NOT_OBTAINABLE


def test_an_approval_or_a_signature_is_never_evidenced_in_full() -> None:
    assert EU.by_id["Annex IV(2)(g)"].obtainable is Obtainable.PARTLY
    assert "signed" in EU.by_id["Annex IV(2)(g)"].blank


def test_a_clause_that_is_not_shown_in_full_says_what_is_missing() -> None:
    silent = [
        clause.id
        for framework in catalogue().values()
        for clause in framework.clauses
        if clause.obtainable is not Obtainable.EVIDENCED and not clause.blank
    ]

    assert silent == []


def test_a_file_without_errors_is_a_framework(tmp_path: Path) -> None:
    path = tmp_path / "gdpr.yaml"
    path.write_text(WRITTEN)

    framework = load_framework(path)

    application = framework.application_of(framework.by_id["Art. 35"])
    assert application is not None
    assert application.applicable_from == date(2018, 5, 25)


@pytest.mark.parametrize(
    ("written", "instead_of", "complaint"),
    [
        pytest.param("abuot: x", "about: An impact assessment.", "9: clauses.0.abuot: there is no such", id="field"),
        pytest.param("obtainable: fully", "obtainable: partly", "10: clauses.0.obtainable: Input", id="word"),
        pytest.param("blank: ''", "blank: The assessment.", "8: clauses.0: say in blank what", id="no blank"),
        pytest.param("applies: soon", "applies: in-force", "1: dates has none that is called soon", id="date"),
        pytest.param("name: HIPAA", "name: GDPR", "1: name: Input should be", id="name"),
    ],
)
def test_an_error_in_the_catalogue_is_told_with_its_place(
    tmp_path: Path, written: str, instead_of: str, complaint: str
) -> None:
    path = tmp_path / "gdpr.yaml"
    path.write_text(WRITTEN.replace(instead_of, written))

    with pytest.raises(CatalogueError) as raised:
        load_framework(path)

    assert f"{path}:{complaint}" in str(raised.value)


def test_a_clause_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gdpr.yaml"
    path.write_text(WRITTEN + WRITTEN.split("clauses:\n")[1])

    with pytest.raises(CatalogueError, match=r"gdpr\.yaml:1: these clauses stand here twice: Art\. 35"):
        load_framework(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot be read: No such file"):
        load_framework(tmp_path / "none.yaml")
