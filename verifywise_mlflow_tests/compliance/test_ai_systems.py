"""The permitted content of a file of AI systems, and the errors for other content."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.compliance.ai_systems import (
    AiSystemsError,
    DeclaredDocument,
    DeclaredSystem,
    DocumentClauses,
    RiskDecision,
    declarations_document,
    load_ai_systems,
    stored_declarations,
)
from verifywise_mlflow_tests.support.declared_systems import LENDING, write_ai_systems
from verifywise_mlflow_tests.support.documentation import code_blocks, read_page

BY = "declared_by: Ada, declared_on: 2026-03-01"


def load(path: Path, *, is_own: bool = True) -> tuple[DeclaredSystem, ...]:
    return load_ai_systems(path, "acme", is_own=is_own)


def test_a_stored_declaration_is_read_back_as_it_was_written_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write_ai_systems(tmp_path / "s.yaml", f"\n  - {{name: Zebra, models: [z], {BY}}}", LENDING)

    declared = load(path)

    assert [system.name for system in declared] == ["Zebra", "Consumer lending"]
    assert stored_declarations(declarations_document(declared)) == declared


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ("{name: A, declared_on: 2026-03-01}", "system 'A': declared_by: this field is required: add it"),
        ("{name: A, declared_by: Ada}", "system 'A': declared_on: this field is required: add it"),
        (f"{{models: [a], {BY}}}", "system 1: name: this field is required: add it"),
        (f"{{name: '--', {BY}}}", "the name has no letter or digit to compare with a tag"),
        (f"{{name: A, rsk: high, {BY}}}", "rsk: there is no such field: correct its name or remove it"),
        (f"{{name: A, risk: {{category: huge}}, {BY}}}", "'huge' is not a risk category: write prohibited"),
        (f"{{name: A, roles: [boss], {BY}}}", "roles.0: Input should be 'provider', 'deployer'"),
        (f"{{name: A, models: credit, {BY}}}", "models: write a list, each entry after a hyphen"),
        (f"{{name: A, next_review: 20260301, {BY}}}", "'20260301' is not a date: write it like 2026-12-31"),
        (f"{{name: A, last_review: 2026-03-02, next_review: 2026-03-02, {BY}}}", "next_review is not after"),
        (f'{{name: "A\\nB", {BY}}}', "the text has a line break"),
        (f"{{name: A, tenant: other, {BY}}}", "this file is for tenant 'acme' only"),
        ("just a text", "system 1: the system: write the fields here"),
    ],
)
def test_an_error_names_the_line_the_system_the_field_and_the_remedy(tmp_path: Path, entry: str, error: str) -> None:
    path = write_ai_systems(tmp_path / "s.yaml", f"\n  - {entry}\n")

    with pytest.raises(AiSystemsError) as raised:
        load(path)

    assert str(raised.value).startswith(f"{path}:2: ")
    assert error in str(raised.value)


@pytest.mark.parametrize("content", ["", "ai_systems:\n", "systems: []\n", "ai_systems: []\nmore: 1\n"])
def test_a_file_that_may_be_half_written_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(content)

    with pytest.raises(AiSystemsError, match="write one key 'ai_systems' at the top level"):
        load(path)


def test_a_shared_file_has_the_systems_of_each_tenant(tmp_path: Path) -> None:
    path = write_ai_systems(
        tmp_path / "s.yaml",
        f"\n  - {{name: A, tenant: acme, {BY}}}\n  - {{name: A, tenant: globex, {BY}}}\n",
    )

    assert [system.name for system in load(path, is_own=False)] == ["A"]

    path.write_text(path.read_text() + f"  - {{name: B, {BY}}}\n  - {{name: a, tenant: acme, {BY}}}\n")
    with pytest.raises(AiSystemsError) as raised:
        load(path, is_own=False)
    assert "system 'B': tenant: this file is for all tenants" in str(raised.value)
    assert "system 'a': the system is declared twice: join both entries" in str(raised.value)


def test_the_documentation_has_each_field_and_an_example_that_loads(tmp_path: Path) -> None:
    example = next(block for block in code_blocks(read_page("how-to/ai-systems.md"), "yaml") if "ai_systems:" in block)
    path = tmp_path / "s.yaml"
    path.write_text(example)

    (declared,) = load(path, is_own=False)

    assert declared.documents[0].covers[0].clauses == ("Annex IV(5)",)
    page = read_page("reference/ai-systems-file.md")
    sections = (DeclaredSystem, RiskDecision, DeclaredDocument, DocumentClauses)
    fields = {field for section in sections for field in section.model_fields}
    assert fields == {name for name in fields if f"`{name}`" in page}


@pytest.mark.parametrize(
    ("patterns", "model", "included"),
    [
        (["credit"], "credit", True),
        (["credit"], "Credit", False),
        (["credit-*", "x"], "credit-eu", True),
        (["credit-?"], "credit-eu", False),
        (["[c]redit"], "credit", False),
        ([], "credit", False),
    ],
)
def test_names_and_patterns_include_models(patterns: list[str], model: str, included: bool) -> None:
    declared = DeclaredSystem.model_validate(
        {"name": "A", "models": patterns, "declared_by": "Ada", "declared_on": "2026-03-01"}
    )

    assert declared.includes(model) is included


def test_a_pattern_that_matches_no_model_is_found() -> None:
    declared = DeclaredSystem.model_validate(
        {"name": "A", "models": ["credit-*", "fruad", "x?"], "declared_by": "Ada", "declared_on": "2026-03-01"}
    )

    assert declared.patterns_without_model(["credit-eu", "fraud", "x1"]) == ["fruad"]
