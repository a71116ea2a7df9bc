"""Configuration files are read strictly."""

from __future__ import annotations

import pytest
import yaml

from verifywise_mlflow.common.strict_yaml import UniqueKeyLoader, load_strict_yaml


def test_a_duplicate_key_is_an_error_with_its_line() -> None:
    with pytest.raises(yaml.MarkedYAMLError, match=r"duplicate key 'acme'[\s\S]*line 2"):
        load_strict_yaml("acme: 1\nacme: 2")


def test_a_tag_constructs_nothing() -> None:
    with pytest.raises(yaml.YAMLError):
        load_strict_yaml("!!python/object/apply:os.getcwd []")


@pytest.mark.parametrize(
    "value",
    ["2026-13-45", "2026-01-01T25:00:00Z", "0b_", "!!int x", "!!float x", "!!bool x", "!!timestamp x", "9" * 5_000],
)
def test_an_impossible_value_is_an_error_with_its_line_and_is_not_quoted(value: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError) as raised:
        load_strict_yaml(f"a: 1\nb: {value}")

    mark = raised.value.problem_mark
    assert mark
    assert (mark.line, raised.value.problem) == (
        1,
        "this value is impossible: correct it, or quote it if it is a text",
    )


def test_equal_keys_in_different_mappings_are_allowed() -> None:
    assert load_strict_yaml("a: {x: 1}\nb: {x: 2}") == {"a": {"x": 1}, "b": {"x": 2}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "text",
        "- 1\n- 2.5\n- true\n- ~\n- 2026-03-03\n- 0x1f\n- 1_000\n- '01'\n",
        "a: &shared {url: http://localhost:5000/x, list: [a, 'b: c', \"d\\u00e9\"]}\nb: {same: *shared, more: yes}\n",
        "text: |\n  two\n  lines\nfolded: >-\n  one\n  line\n? key\n: value\n",
        "deep: " + "[" * 60 + "]" * 60,
    ],
)
def test_the_parser_in_c_and_that_in_python_return_the_same(text: str) -> None:
    assert load_strict_yaml(text) == yaml.load(text, Loader=UniqueKeyLoader)
