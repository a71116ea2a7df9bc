"""The catalog of clauses, and the format of its files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from verifywise_mlflow.compliance.frameworks import (
    CatalogError,
    Obtainable,
    extend_catalog,
    load_framework,
    own_frameworks,
    shipped_catalog,
)
from verifywise_mlflow.compliance.rules.cel_expression import compile_expression
from verifywise_mlflow.compliance.rules.policy import default_policy

EU = shipped_catalog()["EU AI Act"]
READ_FROM_FILES = {"runtime_environment", "artifact_manifest", "evidence_files"}
DECLARABLE = [
    rule
    for rule in default_policy().rules
    if not {path[0] for path in compile_expression(rule.requires).paths} & READ_FROM_FILES
]
"""Rules that read no file: they may pass because of a tag."""

FRAMEWORK = """\
name: House rules
edition: "2026"
covers: one rule
source: the board
url: https://rules.acme.example/models
dates:
  in-force: {applicable_from: 2026-05-25, source: decision 17, checked: true}
clauses:
  - id: H1
    about: An impact assessment.
    obtainable: partly
    blank: The assessment.
    applies: in-force
"""


def write_framework(folder: Path, name: str = "House rules", file: str = "house.yaml") -> Path:
    path = folder / file
    path.write_text(FRAMEWORK.replace("House rules", name))
    return path


def test_the_catalog_has_each_framework() -> None:
    assert tuple(shipped_catalog()) == (
        *("EU AI Act", "GDPR", "ISO/IEC 42001", "NIST AI 600-1", "NIST AI RMF", "SR 11-7"),
    )


def test_own_frameworks_are_added_to_those_of_the_package(tmp_path: Path) -> None:
    house, other = write_framework(tmp_path), write_framework(tmp_path, "SS1/23", "ss.yaml")

    catalog = extend_catalog([house, other, house])

    assert tuple(catalog) == (*shipped_catalog(), "House rules", "SS1/23")
    assert [framework.name for framework in own_frameworks(catalog)] == ["House rules", "SS1/23"]


@pytest.mark.parametrize("name", ["GDPR", "gdpr", "Twice"])
def test_a_framework_cannot_replace_another_one(tmp_path: Path, name: str) -> None:
    paths = [write_framework(tmp_path, "TWICE", "a.yaml"), write_framework(tmp_path, name, "b.yaml")]

    with pytest.raises(
        CatalogError, match=rf"^{paths[1]}:1: name: .* has a framework '{name}' already: choose another"
    ):
        extend_catalog(paths)


def test_errors_of_all_files_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as raised:
        extend_catalog([tmp_path / "none.yaml", write_framework(tmp_path, "GDPR")])

    assert len(str(raised.value).splitlines()) == 2


def test_the_digest_of_a_framework_depends_on_its_content(tmp_path: Path) -> None:
    framework = load_framework(write_framework(tmp_path))
    other = load_framework(write_framework(tmp_path, "Other rules"))

    assert framework.digest == load_framework(write_framework(tmp_path)).digest != other.digest


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
        for framework in shipped_catalog().values()
        for clause in framework.clauses
        if clause.obtainable is Obtainable.EVIDENCED and (framework.name, clause.id) in tag_references
    ] == []


def test_the_catalog_has_all_subcategories_of_nist_and_all_controls_of_iso() -> None:
    nist = Counter(clause.id.split()[0] for clause in shipped_catalog()["NIST AI RMF"].clauses)
    iso = Counter(clause.id.startswith("A.") for clause in shipped_catalog()["ISO/IEC 42001"].clauses)

    assert nist == {"GOVERN": 19, "MAP": 18, "MEASURE": 22, "MANAGE": 13}
    assert iso[True] == 38
    assert len(shipped_catalog()["NIST AI 600-1"].clauses) == 49


def test_the_catalog_has_all_items_of_the_annexes_on_general_purpose_models() -> None:
    annex_xi = [clause.id.removeprefix("Annex XI ") for clause in EU.clauses if clause.id.startswith("Annex XI ")]
    annex_xii = [clause.id.removeprefix("Annex XII") for clause in EU.clauses if clause.id.startswith("Annex XII")]

    assert annex_xi == [
        *(f"1(1)({letter})" for letter in "abcdef"),
        *(f"1(2)({letter})" for letter in "abcde"),
        *(f"2({number})" for number in "123"),
    ]
    assert annex_xii == [f"(1)({letter})" for letter in "abcdefgh"] + [f"(2)({letter})" for letter in "abc"]


@pytest.mark.parametrize(
    ("framework", "number"),
    [("EU AI Act", "Art. 14"), ("EU AI Act", "Art. 27"), ("GDPR", "Art. 35"), ("EU AI Act", "Art. 26(5)")],
)
def test_a_clause_for_which_a_tag_claims_an_assessment_is_declared_only(framework: str, number: str) -> None:
    assert shipped_catalog()[framework].by_id[number].obtainable is Obtainable.DECLARED_ONLY


@pytest.mark.parametrize(
    "number",
    [
        *("Art. 9(2)", "Art. 11(1)", "Art. 17(1)(k)", "Art. 18(1)", "Art. 20(1)", "Art. 21(1)", "Art. 43(4)"),
        *("Annex IV(6)", "Annex VIII"),
    ],
)
def test_records_that_merely_exist_only_support_a_clause(number: str) -> None:
    assert EU.by_id[number].obtainable is Obtainable.SUPPORTS


@pytest.mark.parametrize("number", ["Art. 12", "Art. 19", "Art. 26(6)", "Art. 50", "Art. 72", "Art. 73"])
def test_evidence_that_only_a_running_system_has_is_not_obtainable(number: str) -> None:
    # Such as operating logs: the audit trail of what was read from a registry is not the event log of a system.
    assert EU.by_id[number].obtainable is Obtainable.NOT_OBTAINABLE


def test_an_approval_or_a_signature_is_never_evidenced_in_full() -> None:
    assert EU.by_id["Annex IV(2)(g)"].obtainable is Obtainable.PARTLY
    assert "signed" in EU.by_id["Annex IV(2)(g)"].blank


def test_a_clause_that_is_not_shown_in_full_states_what_is_missing() -> None:
    without_blank = [
        clause.id
        for framework in shipped_catalog().values()
        for clause in framework.clauses
        if clause.obtainable is not Obtainable.EVIDENCED and not clause.blank
    ]

    assert without_blank == []


@pytest.mark.parametrize(
    ("checked", "source", "short_form"),
    [
        ("true", "decision 17", "2026-05-25"),
        ("false", "decision 17; not checked in the official publication", "2026-05-25, not checked"),
    ],
)
def test_a_date_says_whether_somebody_checked_it(tmp_path: Path, checked: str, source: str, short_form: str) -> None:
    path = tmp_path / "house.yaml"
    path.write_text(FRAMEWORK.replace("checked: true", f"checked: {checked}"))

    framework = load_framework(path)

    application = framework.application_date_of(framework.by_id["H1"])
    assert application is not None
    assert (application.cited_source, application.short_form) == (source, short_form)


@pytest.mark.parametrize(
    ("replacement", "original", "message"),
    [
        pytest.param("abuot: x", "about: An impact assessment.", "10: clauses.0.abuot: there is no such", id="field"),
        pytest.param("obtainable: fully", "obtainable: partly", "11: clauses.0.obtainable: Input", id="word"),
        pytest.param("blank: ''", "blank: The assessment.", "9: clauses.0: blank is empty", id="no blank"),
        pytest.param("javascript:alert(1)", "https://rules.acme.example/models", "5: url: ", id="scheme of the link"),
        pytest.param(
            "https://a.example/)[x](", "https://rules.acme.example/models", "5: url: ", id="markup in the link"
        ),
        pytest.param("applies: soon", "applies: in-force", "1: dates has no entry soon", id="date"),
        pytest.param('name: "a\\nb"', "name: House rules", "1: name: ", id="name"),
    ],
)
def test_an_error_in_the_catalog_names_its_location(
    tmp_path: Path, replacement: str, original: str, message: str
) -> None:
    path = tmp_path / "house.yaml"
    path.write_text(FRAMEWORK.replace(original, replacement))

    with pytest.raises(CatalogError) as raised:
        load_framework(path)

    assert f"{path}:{message}" in str(raised.value)


def test_a_duplicate_clause_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "house.yaml"
    path.write_text(FRAMEWORK + FRAMEWORK.split("clauses:\n")[1])

    with pytest.raises(CatalogError, match=r"house\.yaml:1: these clauses occur twice: H1"):
        load_framework(path)


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read: No such file"):
        load_framework(tmp_path / "none.yaml")
