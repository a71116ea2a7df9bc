"""The catalog of clauses, and the format of its files."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from verifywise_mlflow.compliance.frameworks import (
    FRAMEWORK_NAMES,
    CatalogError,
    Obtainable,
    catalog,
    load_framework,
)
from verifywise_mlflow.compliance.rules.cel_expression import compile_expression
from verifywise_mlflow.compliance.rules.policy import default_policy

EU = catalog()["EU AI Act"]
READ_FROM_FILES = {"runtime_environment", "artifact_manifest", "evidence_files"}
DECLARABLE = [
    rule
    for rule in default_policy().rules
    if not {path[0] for path in compile_expression(rule.requires).paths} & READ_FROM_FILES
]
"""Rules that read no file: they may pass because of a tag."""

FRAMEWORK = """\
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


def test_the_catalog_has_each_framework() -> None:
    assert tuple(catalog()) == FRAMEWORK_NAMES


def test_the_catalog_has_all_items_of_annex_iv_and_leaves_blank_what_mlflow_cannot_show() -> None:
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


def test_a_clause_whose_rule_can_pass_because_of_a_tag_is_never_evidenced_in_full() -> None:
    # A version's tags may name the commit and the program, so a pass can be based on a declaration.
    tag_references = {(reference.framework, reference.clause) for rule in DECLARABLE for reference in rule.references}

    assert [
        (framework.name, clause.id)
        for framework in catalog().values()
        for clause in framework.clauses
        if clause.obtainable is Obtainable.EVIDENCED and (framework.name, clause.id) in tag_references
    ] == []


def test_the_catalog_has_all_subcategories_of_nist_and_all_controls_of_iso() -> None:
    nist = Counter(clause.id.split()[0] for clause in catalog()["NIST AI RMF"].clauses)
    iso = Counter(clause.id.startswith("A.") for clause in catalog()["ISO/IEC 42001"].clauses)

    assert nist == {"GOVERN": 19, "MAP": 18, "MEASURE": 22, "MANAGE": 13}
    assert iso[True] == 38


@pytest.mark.parametrize("number", ["Art. 12", "Art. 14", "Art. 19", "Art. 26(6)", "Art. 72", "Art. 73"])
def test_evidence_that_only_a_running_system_has_is_not_obtainable(number: str) -> None:
    # Above all operating logs: the audit trail of what was read from a registry is not the event log of a system.
    assert EU.by_id[number].obtainable is Obtainable.NOT_OBTAINABLE


def test_an_approval_or_a_signature_is_never_evidenced_in_full() -> None:
    assert EU.by_id["Annex IV(2)(g)"].obtainable is Obtainable.PARTLY
    assert "signed" in EU.by_id["Annex IV(2)(g)"].blank


def test_a_clause_that_is_not_shown_in_full_states_what_is_missing() -> None:
    without_blank = [
        clause.id
        for framework in catalog().values()
        for clause in framework.clauses
        if clause.obtainable is not Obtainable.EVIDENCED and not clause.blank
    ]

    assert without_blank == []


def test_a_valid_file_is_a_framework(tmp_path: Path) -> None:
    path = tmp_path / "gdpr.yaml"
    path.write_text(FRAMEWORK)

    framework = load_framework(path)

    application = framework.application_date_of(framework.by_id["Art. 35"])
    assert application is not None
    assert application.applicable_from == date(2018, 5, 25)


@pytest.mark.parametrize(
    ("replacement", "original", "message"),
    [
        pytest.param("abuot: x", "about: An impact assessment.", "9: clauses.0.abuot: there is no such", id="field"),
        pytest.param("obtainable: fully", "obtainable: partly", "10: clauses.0.obtainable: Input", id="word"),
        pytest.param("blank: ''", "blank: The assessment.", "8: clauses.0: blank is empty", id="no blank"),
        pytest.param("applies: soon", "applies: in-force", "1: dates has no entry soon", id="date"),
        pytest.param("name: HIPAA", "name: GDPR", "1: name: Input should be", id="name"),
    ],
)
def test_an_error_in_the_catalog_names_its_location(
    tmp_path: Path, replacement: str, original: str, message: str
) -> None:
    path = tmp_path / "gdpr.yaml"
    path.write_text(FRAMEWORK.replace(original, replacement))

    with pytest.raises(CatalogError) as raised:
        load_framework(path)

    assert f"{path}:{message}" in str(raised.value)


def test_a_duplicate_clause_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "gdpr.yaml"
    path.write_text(FRAMEWORK + FRAMEWORK.split("clauses:\n")[1])

    with pytest.raises(CatalogError, match=r"gdpr\.yaml:1: these clauses occur twice: Art\. 35"):
        load_framework(path)


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read: No such file"):
        load_framework(tmp_path / "none.yaml")
