"""Checkpoints are read from each form in which a witness stores them."""

from __future__ import annotations

import json

import dagster as dg
import pytest

from verifywise_mlflow.audit.checkpoint import InvalidCheckpointError
from verifywise_mlflow.witnesses.reading import checkpoints_in, stamped_checkpoints_in
from verifywise_mlflow_tests.witnesses.checkpoints import chain, stamped

FIRST, SECOND, THIRD = (stamped(link) for link in chain())
FIELDS = {"checkpoint": FIRST.checkpoint.text, "signature": FIRST.checkpoint.signature}
LINES = f"{FIRST.to_json_line()}\n\n{SECOND.to_json_line()}\r\n"
GRAPHQL = {
    "data": {
        "metadataEntries": [
            {"label": "seconds", "floatValue": 1.5},
            {"label": "audit_checkpoint", "jsonString": json.dumps(FIELDS)},
            {"label": "other", "jsonString": "{"},
        ]
    }
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(LINES, [FIRST, SECOND], id="lines"),
        pytest.param(FIRST.to_json_line(), [FIRST], id="a webhook's body or an object"),
        pytest.param(json.dumps(FIELDS, indent=2), [FIRST], id="metadata copied from Dagster's page"),
        pytest.param(json.dumps(GRAPHQL), [FIRST], id="a response of Dagster's GraphQL interface"),
        pytest.param(json.dumps([FIELDS, {"more": [FIELDS]}]), [FIRST, FIRST], id="a list"),
        pytest.param(json.dumps({**FIELDS, "witness": "tsa", "time": "…"}), [FIRST], id="a receipt"),
        pytest.param("\n", [], id="nothing"),
        pytest.param('{"entry": 1}', [], id="another document"),
    ],
)
def test_checkpoints_are_found_in_each_form(text: str, expected: list[object]) -> None:
    assert stamped_checkpoints_in(text) == expected


def test_a_serialized_event_of_dagster_has_its_checkpoint() -> None:
    event = dg.AssetMaterialization("compliance_results", metadata={"audit_checkpoint": dg.MetadataValue.json(FIELDS)})

    assert checkpoints_in(dg.serialize_value(event)) == [FIRST.checkpoint]


def test_a_time_stamp_token_stays_with_its_checkpoint() -> None:
    with_token = stamped(chain()[2], token=b"\x30\x03abc")

    (found,) = stamped_checkpoints_in(with_token.to_json_line())

    assert found == with_token
    assert found.stamped_line == THIRD.to_json_line().encode(), "the authority has stamped the line without its token"


def test_a_text_of_a_tenant_is_never_read_as_a_checkpoint() -> None:
    assert checkpoints_in(json.dumps({"reason": json.dumps(FIELDS)})) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{LINES}garbage", "line 4 is not JSON"),
        (LINES + '{"entry": 1}', "line 4 has no checkpoint"),
        (json.dumps({**FIELDS, "checkpoint": "{}"}), "not a statement about a chain"),
        (json.dumps({**FIELDS, "timestamp_token": "?"}), "not base64"),
        ("[" * 200_000, "line 1 is not JSON"),
    ],
)
def test_what_is_not_a_checkpoint_is_named(text: str, sentence: str) -> None:
    with pytest.raises(InvalidCheckpointError, match=sentence):
        checkpoints_in(text)
