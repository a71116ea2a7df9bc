"""The published schemas equal the schemas of the classes, and a streamed document conforms to its schema."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from verifywise_mlflow.common.unresolved_names import UnresolvedNameError
from verifywise_mlflow.exports.json_documents.catalog import DOCUMENTS
from verifywise_mlflow.exports.json_documents.document import JsonDocument, json_schema
from verifywise_mlflow.exports.json_documents.inventory import InventoryDocument
from verifywise_mlflow_tests.exports.documents_page import PAGE, document_lines, schema_texts
from verifywise_mlflow_tests.support.documentation import generated_part, read_page
from verifywise_mlflow_tests.support.published_schemas import DOCUMENT_SCHEMAS, PUBLISHED, schema_files

HINT = "python -m verifywise_mlflow_tests.exports.documents_page regenerates it"


def test_the_schemas_in_the_package_are_those_of_the_classes() -> None:
    stored = {path.name: path.read_text(encoding="utf-8") for path in DOCUMENT_SCHEMAS.iterdir()}

    assert stored == schema_texts(), HINT


def test_the_published_schemas_are_those_of_the_package() -> None:
    assert {path.name: path.read_bytes() for path in PUBLISHED.iterdir()} == {
        path.name: path.read_bytes() for path in schema_files()
    }, HINT


def test_no_schema_has_a_format_that_the_tests_do_not_check() -> None:
    formats = {match for path in schema_files() for match in re.findall(r'"format": "([a-z-]+)"', path.read_text())}

    assert formats - {"iri", "iri-reference"} == formats != set(), "conftest.py disables the check of these two"


def test_the_page_describes_the_documents() -> None:
    assert generated_part(read_page(PAGE), "documents") == "\n".join(document_lines()), HINT


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.schema_name())
def test_every_member_of_a_document_is_described(document: type[JsonDocument]) -> None:
    schema = json_schema(document)
    Draft202012Validator.check_schema(schema)

    for described in (schema, *schema.get("$defs", {}).values()):
        for name, member in described.get("properties", {}).items():
            assert member.get("description"), f"{described.get('title', '')} {name} has no docstring"


def test_the_text_of_a_streamed_document_is_that_of_the_document() -> None:
    document = InventoryDocument(at=datetime(2026, 3, 1, tzinfo=UTC), tenants=("acme",))

    assert json.loads("".join(document.chunks("versions", []))) == document.to_json()


def test_nothing_is_printed_before_an_error_of_the_first_item() -> None:
    def refuse(_: object) -> object:
        raise UnresolvedNameError("there is no such system")

    document = InventoryDocument(at=datetime(2026, 3, 1, tzinfo=UTC), tenants=("acme",))

    with pytest.raises(UnresolvedNameError):
        next(document.chunks("versions", map(refuse, ["first"])))
