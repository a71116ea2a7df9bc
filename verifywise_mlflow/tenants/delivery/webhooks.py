"""The webhooks that a tenant's changes are posted to as CloudEvents, as ``tenants.yaml`` describes them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from verifywise_mlflow.tenants.delivery.event_type import EventType
from verifywise_mlflow.tenants.delivery.receiver import ReceiverSettings
from verifywise_mlflow.tenants.delivery.target_name import TargetName
from verifywise_mlflow.tenants.header_names import FRAMING_HEADERS, check_header_names
from verifywise_mlflow.tenants.secrets import SecretReference

_RESERVED_HEADERS: Final = FRAMING_HEADERS | {"webhook-id", "webhook-timestamp", "webhook-signature"}


class WebhookSettings(ReceiverSettings):
    """A webhook and what it receives."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
    """A name for people and commands. A webhook with a changed name counts as new, and receives only later events."""
    url: SecretReference
    """The address. Anyone who knows the address of a webhook can post to it, so it is a secret."""
    format: Literal["cloudevents", "chat"] = "cloudevents"
    """``chat``: ``{"text": …}``, which Slack and compatible services show."""
    signing_secrets: Annotated[tuple[SecretReference, ...], Field(max_length=3)] = ()
    """The secrets that sign each event, with the current secret first. During a rotation, there are two secrets."""
    events: Annotated[tuple[EventType, ...], Field(min_length=1)] = tuple(EventType)
    """The types of events that the webhook receives."""

    @property
    def target(self) -> TargetName:
        """The webhook's name in the outbox."""
        return TargetName(f"webhook:{self.name}")

    @field_validator("headers")
    @classmethod
    def _are_not_reserved(cls, headers: dict[str, SecretReference]) -> dict[str, SecretReference]:
        check_header_names(headers, reserved=_RESERVED_HEADERS, instead="remove it")
        return headers

    @model_validator(mode="after")
    def _is_signed(self) -> WebhookSettings:
        if self.format == "cloudevents" and not self.signing_secrets:
            raise ValueError(
                "signing_secrets is missing, so a receiver could not tell our events from forged ones: name a secret"
            )
        return self
