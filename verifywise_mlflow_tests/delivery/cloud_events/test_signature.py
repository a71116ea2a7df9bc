"""Signatures follow the specification Standard Webhooks. The bytes below are its test vector."""

from __future__ import annotations

import pytest

from verifywise_mlflow.delivery.cloud_events.signature import InvalidSecretError, signature_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_" + "A" * 32
EVENT_ID, BODY, SENT_AT = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1614265330


def test_the_specification_s_example_has_its_signature() -> None:
    assert signature_headers(EVENT_ID, BODY, SENT_AT, [SECRET]) == {
        "webhook-id": EVENT_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_two_secrets_sign_while_one_replaces_the_other() -> None:
    both = signature_headers(EVENT_ID, BODY, SENT_AT, [OTHER_SECRET, SECRET])["webhook-signature"].split()

    assert [
        signature_headers(EVENT_ID, BODY, SENT_AT, [one])["webhook-signature"] for one in (OTHER_SECRET, SECRET)
    ] == both
    assert len(set(both)) == 2


@pytest.mark.parametrize(
    ("changed_id", "body", "sent_at"),
    [("another", BODY, SENT_AT), (EVENT_ID, BODY + b" ", SENT_AT), (EVENT_ID, BODY, SENT_AT + 1)],
)
def test_the_id_the_body_and_the_time_are_signed(changed_id: str, body: bytes, sent_at: int) -> None:
    signed = signature_headers(EVENT_ID, BODY, SENT_AT, [SECRET])["webhook-signature"]

    assert signature_headers(changed_id, body, sent_at, [SECRET])["webhook-signature"] != signed


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("tr0ub4dor", "does not begin with whsec_"),
        ("whsec_tr0ub4dor-and-3", "is not base64"),
        ("whsec_dHIwdWI0ZG9y", "must have 24 to 64"),
        ("whsec_" + "A" * 100, "must have 24 to 64"),
    ],
)
def test_an_unusable_secret_is_reported_without_its_value(secret: str, reason: str) -> None:
    with pytest.raises(InvalidSecretError, match=reason) as raised:
        signature_headers(EVENT_ID, BODY, SENT_AT, [secret])

    assert secret.removeprefix("whsec_") not in str(raised.value)
