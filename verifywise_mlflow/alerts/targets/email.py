"""Sends the alerts of a tick as one plain-text e-mail."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from typing import Annotated, Literal

from pydantic import Field, model_validator

from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.targets.target import DELIVERY_TIMEOUT_S, DeliveryError, TargetSettings
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.tls import tls_context
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import AbsolutePath

Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$", max_length=254)]


class EmailTarget(TargetSettings):
    """A mail server that accepts mail from this program."""

    kind: Literal["email"] = "email"
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(gt=0, lt=65536)] = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """``none`` is for a relay on the same host and allows no password."""
    ca_bundle: AbsolutePath | None = None
    username: str | None = None
    password: SecretReference | None = None
    sender: Address
    recipients: Annotated[list[Address], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_password_uses_tls(self) -> EmailTarget:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.password and self.tls == "none":
            raise ValueError("write tls: starttls or implicit: the password would be sent in clear")
        return self

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send one message with one line per alert."""
        password = self.password.resolve() if self.password else None
        try:
            with self._connect() as server:
                if self.username and password:
                    server.login(self.username, password)
                refused = server.send_message(self._message(alerts), self.sender, self.recipients)
        except (smtplib.SMTPException, OSError, HttpError, ValueError) as error:
            # The server's reply is not quoted: it may echo our credentials.
            code = f" {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
            raise DeliveryError(
                f"the mail server {self.host} did not accept the mail: {type(error).__name__}{code}"
            ) from None
        if refused:
            raise DeliveryError(f"the mail server {self.host} refused {len(refused)} of the recipients")

    def _connect(self) -> smtplib.SMTP:
        if self.tls == "none":
            return smtplib.SMTP(self.host, self.port, timeout=DELIVERY_TIMEOUT_S)
        # Verification is not strict: the operator's own certificate authority may be old, and the error could not name
        # the remedy.
        context = tls_context(
            ConnectionSettings(base_uri=f"https://{self.host}", ca_bundle=self.ca_bundle, tls_strict=False)
        )
        if self.tls == "implicit":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=DELIVERY_TIMEOUT_S, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=DELIVERY_TIMEOUT_S)
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
        message["Auto-Submitted"] = "auto-generated"  # suppresses out-of-office replies
        message.set_content("\n".join(alert.line() for alert in alerts) + "\n")
        return message
