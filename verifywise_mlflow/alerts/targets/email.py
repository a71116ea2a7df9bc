"""Alerts as one e-mail a round, plain text."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from typing import Annotated, Literal

from pydantic import Field, model_validator

from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.targets.target import SECONDS, Described, NotDeliveredError
from verifywise_mlflow.http.errors import ConnectorError
from verifywise_mlflow.http.pools import tls_context
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import AbsolutePath

Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$", max_length=254)]


class EmailTarget(Described):
    """A mail server that takes mail from us."""

    kind: Literal["email"] = "email"
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(gt=0, lt=65536)] = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """``none`` is for a relay on this machine: there is no password with it."""
    ca_bundle: AbsolutePath | None = None
    username: str | None = None
    password: SecretReference | None = None
    sender: Address
    recipients: Annotated[list[Address], Field(min_length=1)]

    @model_validator(mode="after")
    def _password_is_sent_in_tls(self) -> EmailTarget:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.password and self.tls == "none":
            raise ValueError("write tls: starttls or implicit: the password would be sent in clear")
        return self

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send one message with a line an alert."""
        password = self.password.resolve() if self.password else None
        try:
            with self._connected() as server:
                if self.username and password:
                    server.login(self.username, password)
                refused = server.send_message(self._message(alerts), self.sender, self.recipients)
        except (smtplib.SMTPException, OSError, ConnectorError, ValueError) as error:
            # What the server said stays out: it may repeat what it was sent.
            code = f" {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
            raise NotDeliveredError(f"the mail server {self.host} took no mail: {type(error).__name__}{code}") from None
        if refused:
            raise NotDeliveredError(f"the mail server {self.host} refused {len(refused)} of the recipients")

    def _connected(self) -> smtplib.SMTP:
        if self.tls == "none":
            return smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        context = tls_context(ConnectionSettings(base_uri=f"https://{self.host}", ca_bundle=self.ca_bundle))
        if self.tls == "implicit":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, alerts: Sequence[Alert]) -> EmailMessage:
        message = EmailMessage()
        more = f" and {len(alerts) - 1} more" if len(alerts) > 1 else ""
        message["Subject"] = f"[verifywise-mlflow] {alerts[0].line()[:150]}{more}"
        message["From"], message["To"] = self.sender, ", ".join(self.recipients)
        message["Date"], message["Message-ID"] = localtime(), make_msgid(domain=self.sender.partition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # so that no holiday notice comes back
        message.set_content("\n".join(alert.line() for alert in alerts) + "\n")
        return message
