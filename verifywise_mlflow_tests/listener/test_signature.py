"""A signature is accepted if MLflow's own function made it with a secret of the tenant, and only then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.listener.signature import DeliveryHeaders, clock_difference, delivery_headers, is_genuine
from verifywise_mlflow_tests.listener.signing import signature

SECRET, OTHER_SECRET = "a secret that MLflow signs with", "another one of the same tenant"


def signed(secret: str, body: str) -> DeliveryHeaders:
    return DeliveryHeaders("id-1", "1764453600", signature(secret, "id-1", "1764453600", body))


@given(secret=st.text(min_size=1).filter(lambda text: text.isprintable()), body=st.text())
def test_what_mlflow_signed_is_genuine(secret: str, body: str) -> None:
    assert is_genuine(signed(secret, body), body.encode(), [secret.encode()])


@given(body=st.binary(min_size=1), position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_body_with_a_changed_bit_is_not_genuine(body: bytes, position: int, bit: int) -> None:
    text = body.decode("latin-1")
    changed = bytearray(text.encode())
    changed[position % len(changed)] ^= 1 << bit

    assert not is_genuine(signed(SECRET, text), bytes(changed), [SECRET.encode()])


@pytest.mark.parametrize("field", ["delivery_id", "timestamp"])
def test_headers_are_signed_too(field: str) -> None:
    headers = signed(SECRET, "{}")
    parts = {"delivery_id": headers.delivery_id, "timestamp": headers.timestamp, "signature": headers.signature}

    changed = DeliveryHeaders(**(parts | {field: parts[field] + "0"}))

    assert not is_genuine(changed, b"{}", [SECRET.encode()])


def test_both_secrets_are_accepted_while_one_replaces_the_other() -> None:
    secrets = [OTHER_SECRET.encode(), SECRET.encode()]

    assert is_genuine(signed(SECRET, "{}"), b"{}", secrets)
    assert is_genuine(signed(OTHER_SECRET, "{}"), b"{}", secrets)
    assert not is_genuine(signed("a third one", "{}"), b"{}", secrets)


@pytest.mark.parametrize("form", ["", "v1,", "{b64}", "v2,{b64}", "v1,{b64} ", "v1,{b64}=", "V1,{b64}", "v1,é"])
def test_only_mlflows_form_of_a_signature_is_accepted(form: str) -> None:
    headers = signed(SECRET, "{}")
    b64 = headers.signature.removeprefix("v1,")

    assert not is_genuine(DeliveryHeaders("id-1", headers.timestamp, form.format(b64=b64)), b"{}", [SECRET.encode()])


@pytest.mark.parametrize(
    ("delivery_id", "timestamp"),
    [("", "1"), ("a b", "1"), ("x" * 129, "1"), ("a", ""), ("a", "-1"), ("a", "1.5"), ("a", "1" * 13), ("a", "¹")],
)
def test_headers_of_another_form_are_refused(delivery_id: str, timestamp: str) -> None:
    assert delivery_headers({"x-mlflow-delivery-id": delivery_id, "x-mlflow-timestamp": timestamp}) is None


def test_the_difference_of_the_clocks_is_positive_for_what_was_signed_in_the_past() -> None:
    assert clock_difference(DeliveryHeaders("a", "1000", ""), 1400.0) == 400
