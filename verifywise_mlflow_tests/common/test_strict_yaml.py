"""Configuration files are read strictly."""

from __future__ import annotations

import pytest
import yaml

from verifywise_mlflow.common.strict_yaml import load_strict_yaml


def test_a_duplicate_key_is_an_error_with_its_line() -> None:
    with pytest.raises(yaml.MarkedYAMLError, match=r"duplicate key 'acme'[\s\S]*line 2"):
        load_strict_yaml("acme: 1\nacme: 2")


def test_a_tag_constructs_nothing() -> None:
    with pytest.raises(yaml.YAMLError):
        load_strict_yaml("!!python/object/apply:os.getcwd []")


def test_equal_keys_in_different_mappings_are_allowed() -> None:
    assert load_strict_yaml("a: {x: 1}\nb: {x: 2}") == {"a": {"x": 1}, "b": {"x": 2}}
