"""Generates the schemas of the JSON documents, and their part of docs/reference/json-documents.md.

``python -m verifywise_mlflow_tests.exports.documents_page`` writes the schemas into the package and into the docs, and
replaces the generated part of the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from verifywise_mlflow.exports.json_documents.catalog import DOCUMENTS
from verifywise_mlflow.exports.json_documents.document import json_schema
from verifywise_mlflow_tests.support.documentation import write_generated_part
from verifywise_mlflow_tests.support.published_schemas import DOCUMENT_SCHEMAS, member_table, publish_schemas

PAGE: Final = "reference/json-documents.md"


def schema_texts() -> Mapping[str, str]:
    """Return the text of each document's schema, by the name of its file."""
    return {
        f"{document.schema_name()}.json": json.dumps(json_schema(document), indent=2, ensure_ascii=False) + "\n"
        for document in DOCUMENTS
    }


def document_lines() -> Iterator[str]:
    """Yield the lines that describe the documents."""
    for document in DOCUMENTS:
        schema = json_schema(document)
        members = {name: member for name, member in schema["properties"].items() if name != "schema"}
        yield f"### {document.schema_name()}"
        yield ""
        yield f"{schema['description']} [Schema](schemas/{document.schema_name()}.json)."
        yield ""
        yield from member_table(members, schema.get("$defs"))
        yield ""


if __name__ == "__main__":
    for path in DOCUMENT_SCHEMAS.glob("*.json"):
        path.unlink()
    for file_name, text in schema_texts().items():
        (DOCUMENT_SCHEMAS / file_name).write_text(text, encoding="utf-8")
    publish_schemas()
    write_generated_part(PAGE, "documents", document_lines())
