from __future__ import annotations

import pickle
from dataclasses import replace

from verifywise_mlflow.normalizer.origin import Origin, ValueState

ORIGIN = Origin("version tag", "owner", "TBD", state=ValueState.PLACEHOLDER)


def test_equal_values_are_one_element_of_a_set() -> None:
    assert {ORIGIN, replace(ORIGIN), replace(ORIGIN, raw="Ada")} == {ORIGIN, replace(ORIGIN, raw="Ada")}


def test_a_value_object_is_the_same_after_the_way_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(ORIGIN)) == ORIGIN  # our own bytes


def test_a_value_object_has_no_other_attributes_than_its_fields() -> None:
    assert not hasattr(ORIGIN, "__dict__")
