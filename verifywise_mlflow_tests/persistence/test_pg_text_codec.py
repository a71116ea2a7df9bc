from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select

from verifywise_mlflow.persistence.pg_text_codec import Json, Stored, Text, dumps, escape, from_stored, loads, unescape
from verifywise_mlflow.persistence.store import Store

SIGNS = "\x00\u2400\u241b\ud800\udfff\ud83d\ude00\\u\"'%:0009d8fa\n🙂"
any_text = st.text(st.sampled_from(SIGNS) | st.characters(codec=None), max_size=40)
# -0.0 comes back as 0.0, and a number that is not finite as a word: both by design of JSON in Postgres.
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
any_json = st.recursive(
    st.none() | st.booleans() | numbers | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)
TEXTS = [
    "",
    "\x00",
    "\x00\x00",
    "␀",
    "␛",
    "␛␀",
    "␛␛␀",
    "␛d800",
    "\ud800",
    "\ud83d\ude00",
    "😀",
    "\\u0000",
    "\\",
    "x" * 100_000,
]

METADATA = MetaData(schema="public")
ROUND_TRIP_TABLE = Table(
    "kept", METADATA, Column("id", Integer, primary_key=True), Column("written", Text), Column("document", Json)
)


@given(any_text)
def test_unescape_reverses_escape_for_any_text(text: str) -> None:
    assert unescape(escape(text)) == text


@given(any_text)
def test_an_escaped_text_is_valid_in_postgres(text: str) -> None:
    escaped = escape(text)

    assert "\x00" not in escaped
    escaped.encode("utf-8")


@given(st.text().filter(lambda text: not set(text) & {"\x00", "␀", "␛"}))
def test_plain_text_is_not_changed(text: str) -> None:
    assert escape(text) == text


@given(any_text, any_text)
def test_escapes_are_unique(text: str, other: str) -> None:
    assert (escape(text) == escape(other)) is (text == other)


@given(any_json)
def test_loads_reverses_dumps_for_any_document(document: Stored) -> None:
    assert loads(dumps(document)) == document


@given(any_json)
@example(1e300)
@example(2**64)
@example("\ud800")
def test_loads_returns_the_types_and_digits_of_the_standard_library(document: Stored) -> None:
    serialized = json.dumps(document)

    assert repr(loads(serialized)) == repr(from_stored(json.loads(serialized)))


def test_loads_reads_as_many_levels_as_the_standard_library() -> None:
    serialized = "[" * 900 + "]" * 900

    assert loads(serialized) == json.loads(serialized)


@given(any_json)
def test_the_json_of_any_document_is_valid_in_postgres(document: Stored) -> None:
    encoded = dumps(document)

    encoded.encode("utf-8")
    assert "\x00" not in str(json.loads(encoded))


@pytest.mark.parametrize(("number", "spelling"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")])
def test_a_number_that_is_not_finite_is_stored_as_a_string(number: float, spelling: str) -> None:
    assert loads(dumps({"auc": [number], "␀": 1.5})) == {"auc": [spelling], "␀": 1.5}


def test_a_value_without_a_json_form_is_refused() -> None:
    with pytest.raises(TypeError):
        dumps({"a": object()})


def write_and_read_back(connection: Connection, written: str | None, document: Stored) -> tuple[str | None, Stored]:
    connection.execute(ROUND_TRIP_TABLE.delete())
    connection.execute(insert(ROUND_TRIP_TABLE).values(id=1, written=written, document=document))
    row = connection.execute(select(ROUND_TRIP_TABLE.c.written, ROUND_TRIP_TABLE.c.document)).one()
    return row[0], row[1]


@pytest.fixture
def table(store: Store) -> Iterator[Table]:
    METADATA.create_all(store.engine)
    yield ROUND_TRIP_TABLE
    METADATA.drop_all(store.engine)  # then the next test gets the same database, instead of a copy of the template


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_text_survives_a_round_trip_through_postgres(store: Store, table: Table, text: str) -> None:
    with store.begin_shared() as connection:
        assert write_and_read_back(connection, text, {text: [text]}) == (text, {text: [text]})


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=any_text, document=any_json.filter(lambda document: document is not None))
def test_any_text_and_document_survive_a_round_trip_through_postgres(
    store: Store, table: Table, text: str, document: Stored
) -> None:
    with store.begin_shared() as connection:
        assert write_and_read_back(connection, text, document) == (text, document)


def test_none_is_null_in_both_column_types(store: Store, table: Table) -> None:
    with store.begin_shared() as connection:
        assert write_and_read_back(connection, None, None) == (None, None)
        assert connection.scalar(select(func.count()).where(ROUND_TRIP_TABLE.c.document.is_(None))) == 1


def test_any_text_can_be_queried_by_its_value(store: Store, table: Table) -> None:
    with store.begin_shared() as connection:
        write_and_read_back(connection, "a\x00␛", {})

        assert connection.scalar(select(ROUND_TRIP_TABLE.c.id).where(ROUND_TRIP_TABLE.c.written == "a\x00␛")) == 1
        assert connection.scalar(select(ROUND_TRIP_TABLE.c.id).where(ROUND_TRIP_TABLE.c.written == "a␀␛")) is None


def test_the_largest_metrics_survive_a_round_trip(store: Store, table: Table) -> None:
    extremes = [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 0.1, 2.0**53]
    with store.begin_shared() as connection:
        _, document = write_and_read_back(connection, None, {"metrics": list(extremes)})

    assert isinstance(document, dict)
    assert isinstance(document["metrics"], list)
    assert [float(str(number)) for number in document["metrics"]] == extremes
