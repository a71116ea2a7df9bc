"""What tenants.yaml may say about webhooks and lineage. No error quotes a value, which may be a misplaced secret."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from verifywise_mlflow.tenants.delivery.event_type import EventType
from verifywise_mlflow.tenants.delivery.settings import Delivery

WEBHOOK = {"name": "siem", "url": "env:URL", "signing_secrets": ["env:SECRET"]}
KAFKA = {
    "kind": "kafka",
    "bootstrap_servers": ["kafka.example:9092"],
    "topic": "lineage",
    "allow_private_network": True,
}
SASL = {"mechanism": "PLAIN", "username": "svc", "password": "env:PASSWORD"}
PASTED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_each_receiver_is_a_target_of_its_own() -> None:
    delivery = Delivery.model_validate(
        {"webhooks": [WEBHOOK, {**WEBHOOK, "name": "chat"}], "openlineage": {"transport": KAFKA}}
    )

    assert delivery.targets() == ("openlineage", "webhook:siem", "webhook:chat")
    assert delivery.state_targets() == ("openlineage",)
    assert delivery.webhooks[0].events == tuple(EventType)


@pytest.mark.parametrize(
    ("webhook", "sentence"),
    [
        ({"url": PASTED}, "write a reference to the secret"),
        ({"signing_secrets": [PASTED]}, "write a reference to the secret"),
        ({"signing_secrets": []}, "signing_secrets is missing"),
        ({"events": []}, "at least 1 item"),
        ({"events": ["version.deleted"]}, "version.disappeared"),
        ({"name": "Not a name"}, "should match pattern"),
        ({"headers": {"Webhook-Signature": "env:A"}}, "is set by the client itself"),
        ({"headers": {"Content-Type": "env:A"}}, "is set by the client itself"),
        ({"tls": {"verify": False}}, "Extra inputs are not permitted"),
    ],
)
def test_an_invalid_webhook_is_refused(webhook: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence) as raised:
        Delivery.model_validate({"webhooks": [{**WEBHOOK, **webhook}]})

    assert PASTED not in str(raised.value)


def test_two_webhooks_need_two_names() -> None:
    with pytest.raises(ValidationError, match="two webhooks have the same name"):
        Delivery.model_validate({"webhooks": [WEBHOOK, WEBHOOK]})


@pytest.mark.parametrize(
    ("transport", "sentence"),
    [
        ({"kind": "http", "url": "http://marquez.example/api/v1/lineage"}, "is not encrypted"),
        ({"kind": "http", "url": "https://svc:pw@marquez.example/"}, "contains credentials"),
        ({"kind": "http", "url": "https://marquez.example/?key=pw"}, "has a query"),
        ({"kind": "http", "url": "https://marquez.example/", "headers": {"Authorization": "env:A"}}, "use api_key"),
        ({"kind": "file", "path": "lineage.jsonl"}, "the path is relative"),
        ({**KAFKA, "allow_private_network": False}, "Input should be True"),
        ({**KAFKA, "bootstrap_servers": []}, "at least 1 item"),
        ({**KAFKA, "bootstrap_servers": ["kafka.example"]}, "should match pattern"),
        ({**KAFKA, "encrypted": False, "sasl": SASL}, "the password would be sent in clear text"),
    ],
)
def test_an_invalid_transport_is_refused(transport: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence) as raised:
        Delivery.model_validate({"openlineage": {"transport": transport}})

    assert "pw@" not in str(raised.value)


def test_kafka_s_client_gets_the_files_and_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    from verifywise_mlflow.delivery.openlineage.transports import kafka_options
    from verifywise_mlflow.tenants.delivery.openlineage import KafkaTransportSettings

    monkeypatch.setenv("PASSWORD", "s3cret")
    delivery = Delivery.model_validate(
        {"openlineage": {"transport": {**KAFKA, "sasl": SASL, "tls": {"ca_bundle": "/etc/ssl/kafka.pem"}}}}
    )
    assert delivery.openlineage
    transport = delivery.openlineage.transport
    assert isinstance(transport, KafkaTransportSettings)

    options = kafka_options(transport)

    assert options["security.protocol"] == "SASL_SSL"
    assert options["ssl.ca.location"] == "/etc/ssl/kafka.pem"
    assert (options["sasl.mechanism"], options["sasl.password"]) == ("PLAIN", "s3cret")
    assert options["acks"] == "all"
