"""Rows whose JSON stays text until the process that computes parses them."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from verifywise_mlflow.persistence.json_texts import JSON_AS_TEXT, parsed_row
from verifywise_mlflow.persistence.pg_text_codec import Json, Stored, Text
from verifywise_mlflow.persistence.store import Store

TABLE = Table(
    "documents",
    MetaData(schema="public"),
    Column("id", Integer, primary_key=True),
    Column("words", Text),
    Column("document", Json),
)
DOCUMENTS: tuple[Stored, ...] = ({"a\x00b": ["\ud800", 1, 1.0, None]}, [], "text", 2**70, None)


def test_a_row_that_was_read_with_json_as_text_is_the_same_once_it_is_parsed(store: Store) -> None:
    with store.begin_shared() as connection:
        TABLE.create(connection)
        rows = [
            {"id": number, "words": '{"no": "document"}', "document": document}
            for number, document in enumerate(DOCUMENTS)
        ]
        connection.execute(insert(TABLE), rows)
        query = select(TABLE).order_by(TABLE.c.id)

        texts = [dict(row) for row in connection.execute(query.execution_options(**JSON_AS_TEXT)).mappings()]
        parsed = [dict(row) for row in connection.execute(query).mappings()]

    assert all(isinstance(row["document"], str | None) for row in texts)
    assert [parsed_row(TABLE, row) for row in texts] == parsed == rows
