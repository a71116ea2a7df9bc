"""Alerts sent to a real webhook and a real mail server, with hostile names and secrets."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from pydantic import TypeAdapter

import verifywise_mlflow.alerts.targets.webhook as webhook_target
from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.dispatch import dispatch
from verifywise_mlflow.alerts.settings import AlertSettings, load_alert_settings
from verifywise_mlflow.alerts.state import MAX_UNDELIVERED_ALERTS, AlertState
from verifywise_mlflow.alerts.targets.log import ALERTS_LOGGER
from verifywise_mlflow.alerts.targets.target import DeliveryError
from verifywise_mlflow.common.settings_file import InvalidSettingsFileError
from verifywise_mlflow_tests.alerts.receivers import mail_server, webhook
from verifywise_mlflow_tests.support.certificate_authorities import make_authority

SECRET = "tr0ub4dor-and-3"
HOSTILE = (
    "<!channel> <script>alert(1)</script> `[x](https://evil.example) ![](https://evil.example/p.png) @here` "
    "\x1b[2J\r\nBcc: eve@evil.example\r\n\r\n\u202egpj.exe %s {0}"
)


def alert(sentence: str = HOSTILE) -> Alert:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    return Alert(kind="integrity event", tenant_id="acme", state="raised", sentence=sentence, at=at)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TypeAdapter[AlertSettings]:
    monkeypatch.setenv("HOOK_TOKEN", SECRET)
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    return TypeAdapter(AlertSettings)


def test_a_webhook_receives_one_post_with_all_alerts_escaped(
    settings: TypeAdapter[AlertSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as received:
        monkeypatch.setenv("HOOK", received.url)
        (target,) = settings.validate_python(
            {"targets": [{"kind": "webhook", "url": "env:HOOK", "headers": {"Authorization": "env:HOOK_TOKEN"}}]}
        ).targets
        target.deliver([alert(), alert("second")])

    (posted,) = received.posted
    text = str(posted["text"])
    assert text.count("\n") == 1
    assert not set("<>\x1b\r\u202e") & set(text)
    assert "&lt;!channel&gt;" in text
    for line in text.splitlines():
        assert line.startswith("`")
        assert line.endswith("`")
        assert line.count("`") == 2, "the text must not end its code span"
    alerts = posted["alerts"]
    assert isinstance(alerts, list)
    first, second = alerts
    assert (first["kind"], first["tenant"], first["state"]) == ("integrity event", "acme", "raised")
    assert "\\r\\nBcc: eve@evil.example" in first["sentence"]
    assert second["sentence"] == "second"
    assert received.headers[0]["Authorization"] == SECRET


@pytest.mark.parametrize("status", [302, 307, 404, 500])
def test_a_webhook_error_does_not_contain_the_url(
    settings: TypeAdapter[AlertSettings], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with webhook() as received:
        received.status = status
        monkeypatch.setenv("HOOK", f"{received.url}?token={SECRET}")
        (target,) = settings.validate_python({"targets": [{"kind": "webhook", "url": "env:HOOK"}]}).targets
        with pytest.raises(DeliveryError, match=f"the webhook of env:HOOK returned HTTP {status}") as raised:
            target.deliver([alert()])

    assert len(received.posted) == 1  # no redirect is followed
    assert SECRET not in str(raised.value)


def test_a_hanging_webhook_times_out_and_does_not_stop_the_other_targets(
    settings: TypeAdapter[AlertSettings], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(webhook_target, "DELIVERY_TIMEOUT_S", 0.2)
    warnings: list[str] = []
    with webhook() as received:
        received.hangs = 1.0
        monkeypatch.setenv("HOOK", f"{received.url}?token={SECRET}")
        alert_settings = settings.validate_python(
            {"targets": [{"kind": "webhook", "url": "env:HOOK"}, {"kind": "log"}]}
        )

        undelivered = dispatch([alert()], alert_settings.targets, AlertState(), warnings.append)
        received.hangs = 0.0
        second_dispatch = dispatch(
            [alert("second")], alert_settings.targets, AlertState(undelivered=undelivered), warnings.append
        )

    assert warnings == [
        "1 alerts are undelivered to target 1 of alerts.yaml: "
        "the webhook of env:HOOK could not be called: ReadTimeoutError"
    ]
    assert [len(queued.alerts) for queued in undelivered] == [1]
    assert second_dispatch == []
    assert [len(post["alerts"]) for post in received.posted] == [1, 2]  # type: ignore[arg-type]  # lists
    lines = [record.getMessage() for record in caplog.records if record.name == ALERTS_LOGGER]
    assert len(lines) == 2
    assert "integrity event acme raised: <!channel>" in lines[0]
    assert all(line.isprintable() for line in lines)
    assert SECRET not in caplog.text
    assert {record.levelno for record in caplog.records if record.name == ALERTS_LOGGER} == {logging.ERROR}


def test_the_queue_of_a_dead_target_is_bounded(
    settings: TypeAdapter[AlertSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    alert_settings = settings.validate_python({"targets": [{"kind": "webhook", "url": "env:ABSENT"}]})

    (undelivered,) = dispatch(
        [alert(str(n)) for n in range(MAX_UNDELIVERED_ALERTS + 50)],
        alert_settings.targets,
        AlertState(),
        lambda _: None,
    )

    assert len(undelivered.alerts) == MAX_UNDELIVERED_ALERTS


def test_mail_is_sent_over_tls_with_the_password_as_one_plain_message(
    settings: TypeAdapter[AlertSettings], tmp_path: Path
) -> None:
    authority = make_authority(tmp_path)
    with mail_server(authority.server_context()) as received:
        (target,) = settings.validate_python(
            {"targets": [mail(received.port, ca_bundle=str(authority.certificate))]}
        ).targets
        target.deliver([alert(), alert("second")])

    assert received.is_encrypted
    assert received.login.split("\0")[1:] == ["svc", SECRET]
    assert [recipient.partition(":")[2] for recipient in received.recipients] == [
        "<ops@bank.example>",
        "<ciso@bank.example>",
    ]
    message = message_from_bytes(received.messages[0], policy=policy.default)
    assert message.keys() == [
        *("Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted"),
        *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
    ]
    assert message["Subject"].startswith("[verifywise-mlflow] 2026-03-01 12:00:00Z integrity event acme raised: ")
    assert message["Subject"].endswith(" and 1 more")
    assert message.get_content_type() == "text/plain"
    first, second = message.get_content().splitlines()
    assert first.isprintable()
    assert second.endswith("second")


@pytest.mark.parametrize("offers_tls", [False, True])
def test_no_password_is_sent_without_trusted_tls(
    settings: TypeAdapter[AlertSettings], tmp_path: Path, offers_tls: bool
) -> None:
    our_authority, other = make_authority(tmp_path, "ours"), make_authority(tmp_path, "other")
    with mail_server(other.server_context() if offers_tls else None) as received:
        (target,) = settings.validate_python(
            {"targets": [mail(received.port, ca_bundle=str(our_authority.certificate))]}
        ).targets
        with pytest.raises(DeliveryError, match=r"the mail server 127\.0\.0\.1 did not accept the mail"):
            target.deliver([alert()])

    assert (received.login, received.messages) == ("", [])


def mail(port: int, **settings: str) -> dict[str, object]:
    return {
        "kind": "email",
        "host": "127.0.0.1",
        "port": port,
        "username": "svc",
        "password": "env:MAIL_PASSWORD",
        "sender": "governance@bank.example",
        "recipients": ["ops@bank.example", "ciso@bank.example"],
        **settings,
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (f"targets: [{{kind: webhook, url: 'https://chat.example/{SECRET}'}}]", "write a reference to the secret"),
        ("targets: [{kind: pager}]", "does not match any of the expected tags"),
        (
            "targets: [{kind: email, host: h, tls: none, username: a, password: env:P, sender: a@b.c, "
            "recipients: [a@b.c]}]",
            "write tls: starttls or implicit",
        ),
        (f"targets: [{{kind: email, host: h, sender: 'a@b.c\\n{SECRET}', recipients: [a@b.c]}}]", "sender"),
        (f"targets: '{SECRET}", "is not YAML, line"),
        ("stale_after: 3h", "there is no such field"),
    ],
)
def test_an_invalid_file_is_reported_without_its_values(
    content: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(content)
    monkeypatch.setenv("VERIFYWISE_ALERTS", str(path))

    with pytest.raises(InvalidSettingsFileError, match=sentence) as raised:
        load_alert_settings()

    assert SECRET not in str(raised.value)
