"""The values and the nesting of a JSON text are counted before it is parsed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.connector.json_structure import measure

TRICKY_TEXT = st.text(st.sampled_from('a,:{}[]"\\ \u00e9\U0001f600\n'), max_size=8)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | TRICKY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TRICKY_TEXT, inner, max_size=4),
    max_leaves=20,
)


def count_values(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(count_values, inner))


def depth_of(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(document=DOCUMENTS, is_ascii=st.booleans())
def test_no_value_is_missed_and_the_depth_is_exact(document: object, is_ascii: bool) -> None:
    structure = measure(json.dumps(document, ensure_ascii=is_ascii).encode(), max_values=10_000)

    # An empty list counts as if it had a value.
    assert count_values(document) <= structure.values <= 2 * count_values(document)
    assert structure.depth == depth_of(document)


@pytest.mark.parametrize(
    ("body", "more_than"),
    [
        (b'{"rows":[' + b"{}," * 1_000 + b"{}]}", 1_000),
        (b"[" + b"1," * 1_000 + b"1]", 1_000),
        (b'["' + b'","' * 1_000 + b'"]', 1_000),
        (b'["' + b'{","' * 1_000 + b'"]', 1_000),
    ],
    ids=["objects", "numbers", "texts", "texts with brackets"],
)
def test_a_flood_of_values_is_counted(body: bytes, more_than: int) -> None:
    assert measure(body, max_values=10_000).values > more_than
    assert measure(body, max_values=more_than // 2).values > more_than // 2


@pytest.mark.parametrize("body", [b'"' * 99, b'"{"]' * 1_000, b"\\" * 99, b"\xff\x00", b"]}" * 99, b""])
def test_what_is_not_json_has_some_result(body: bytes) -> None:
    assert measure(body, max_values=100).values >= 1
