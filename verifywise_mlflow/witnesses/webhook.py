"""A webhook as a witness: the checkpoint's line is the body of a POST."""

from __future__ import annotations

import hashlib
import time
from typing import Annotated, Literal

from pydantic import Field, field_validator

from verifywise_mlflow.delivery.cloud_events.signature import InvalidSecretError, signature_headers
from verifywise_mlflow.delivery.http_post import Receiver, open_receiver
from verifywise_mlflow.tenants.delivery.receiver import ReceiverSettings
from verifywise_mlflow.tenants.header_names import FRAMING_HEADERS, check_header_names
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.witnesses.stamped_checkpoint import StampedCheckpoint
from verifywise_mlflow.witnesses.witness import Receipt, WitnessError, WitnessSettings


class WebhookWitness(WitnessSettings, ReceiverSettings):
    """A server of another party, such as the auditor. It stores the bodies that are posted to it."""

    kind: Literal["webhook"] = "webhook"
    url: SecretReference
    """Anyone who knows the address of a webhook can post there, so it is a secret."""
    signing_secrets: Annotated[tuple[SecretReference, ...], Field(max_length=3)] = ()
    """The secrets that sign the request as in Standard Webhooks. They are optional: a checkpoint has its own
    signature."""

    @field_validator("headers")
    @classmethod
    def _are_not_reserved(cls, headers: dict[str, SecretReference]) -> dict[str, SecretReference]:
        check_header_names(headers, reserved=FRAMING_HEADERS, instead="remove it")
        return headers

    def store(self, tenant_id: str, stamped: StampedCheckpoint) -> Receipt:
        """Post the checkpoint. Its id is the same at each attempt."""
        del tenant_id  # the checkpoint names the tenant
        body = stamped.to_json_line().encode("ascii")
        identifier = f"checkpoint_{hashlib.sha256(body).hexdigest()[:32]}"
        secrets = [secret.resolve() for secret in self.signing_secrets]
        try:
            signature = signature_headers(identifier, body, int(time.time()), secrets)
        except InvalidSecretError as error:
            raise WitnessError(f"a signing secret of the witness {self.name} cannot be used: {error}") from None
        receiver = Receiver.of(self, self.url.resolve(), f"the witness {self.name}")
        with open_receiver(receiver) as connection:
            connection.post(body, {"Content-Type": "application/json", **(signature if secrets else {})})
        return {"id": identifier}
